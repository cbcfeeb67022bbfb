"""Compare a training epoch of latte, from JPEG files to prototypes, with a plain loop (textbook).

Both use the same images, views, batches, texts and weights. The textbook decodes each file, makes
the view with Pillow, and takes its step. Latte reads decoded images from its cache on disk, and
prepares images while it trains; the time to fill the cache is not included. The sides take turns in
one process; in fp32 both must end with the same prototypes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor

from benchmarks.latte_step import LatteStep
from benchmarks.loader import HEIGHT, WIDTH, filled_cache, write_images
from benchmarks.measuring import (
    Timed,
    memory_line,
    peak_line,
    ratio_line,
    say,
    side_figures,
)
from benchmarks.reference_step import ReferenceStep
from benchmarks.step import LEARNING_RATE, PRECISIONS, TOLERANCE, arithmetic, product_rate
from benchmarks.step_problem import Problem, make_problem
from latte.data.batches import epoch_batches
from latte.data.cache import ImageCache
from latte.data.device_views import make_device_views
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.progress import SilentProgress
from latte.interfaces.settings import AugmentSettings, OptimizerSettings, TrainSettings
from latte.run.process import keep_freed_memory
from latte.run.workspace import find_device
from latte.train.learner import Learner
from latte.train.loop import train
from latte.train.timing import count_flops, wait_for
from latte.train.training import Training

LARGE = (4000, 3000)
SEED = 0
_SIDES = ("textbook", "latte")


class Finished(Exception):  # noqa: N818 - nothing went wrong
    """Raised to leave latte's loop after the last measured epoch."""


class Textbook:
    """The plain training loop."""

    def __init__(self, step: ReferenceStep, view: TrainingView, images: ImageCache) -> None:
        self.step = step
        self.timed = Timed("textbook", step.device.type)
        self._view = view
        self._images = images.images

    def epoch(self, number: int, batch_size: int) -> None:
        """Train on all images once."""
        self.step.epoch_start = self.step.prototypes.clone()
        for rows in epoch_batches(len(self._images), batch_size, SEED, number):
            views = [self._load(row, number) for row in rows.tolist()]
            self.step.step_on(rows.tolist(), torch.stack(views))

    def _load(self, row: int, epoch: int) -> Tensor:
        path = self._images[row].path
        assert path is not None
        with Image.open(path) as image:
            return self._view(image.convert("RGB"), row, epoch)


class Latte:
    """Latte's training loop; its hook for evaluations is called after each epoch."""

    def __init__(
        self,
        step: LatteStep,
        view: TrainingView,
        images: ImageCache,
        options: argparse.Namespace,
        folder: Path,
    ) -> None:
        self.step = step
        self.timed = Timed("latte", options.device)
        self._options = options
        self._view = view
        self._images = images
        self._folder = folder

    def epochs(self, rounds: int, between: Any) -> None:
        """Count the tokens of one epoch, then time `rounds`; call `between(number)` after each."""
        counter = count_flops()
        counter.__enter__()
        marks: list[tuple[float, float]] = []

        def after_an_epoch(learners: Sequence[Learner]) -> Mapping[str, float]:
            now = self._now()
            number = len(self.timed.wall) + bool(marks)
            if marks:
                self.timed.wall.append(now[0] - marks[-1][0])
                self.timed.cpu.append(now[1] - marks[-1][1])
            else:
                counter.__exit__(None, None, None)
                self.timed.flops = counter.get_total_flops()
            between(number)
            if len(self.timed.wall) == rounds:
                raise Finished
            marks.append(self._now())
            return {}

        try:
            train(self._training(rounds + 2, after_an_epoch), SilentProgress())
        except Finished:
            return

    def _training(self, epochs: int, evaluate: Any) -> Training:
        settings = TrainSettings(
            batch_size=self._options.batch,
            micro_batch_size=self._options.micro_batch_size,
            max_epochs=epochs,
            schedule="constant",
            optimizer=OptimizerSettings(learning_rate=LEARNING_RATE),
            checkpoint_every=10**6,
        )
        return Training(
            settings=settings,
            inputs=self.step.inputs,
            start=self.step.start,
            images=self._images,
            view=self._view,
            learners=[self.step.learner],
            folder=self._folder,
            evaluation_batch_size=64,
            evaluate=evaluate,
            device_views=make_device_views(
                self._view, self._images, self._options.device, settings, SilentProgress()
            ),
        )

    def _now(self) -> tuple[float, float]:
        wait_for(self._options.device)
        return time.perf_counter(), time.process_time()


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    problem = make_problem(options.shape, options.images, find_device(options.device))
    with TemporaryDirectory(prefix="latte-benchmark-") as name:
        folder = Path(name)
        size = LARGE if options.large else (WIDTH, HEIGHT)
        images = write_images(folder / "images", options.images, size)
        cache, filling = filled_cache(images, folder / "pixels")
        textbook, latte = _sides(options, problem, cache, folder)
        tokens = _run(options, textbook, latte)
    sides = [one for one in (textbook, latte) if one]
    peak = product_rate(options.precision, options.device)
    _report(options, sides, tokens, filling, peak)
    figures = side_figures([one.timed for one in sides], options.images, peak)
    parts = latte.step.learner.micro_batch_size if latte else None
    return figures | ({"micro-batch size": parts} if parts else {})


def _sides(
    options: argparse.Namespace, problem: Problem, cache: ImageCache, folder: Path
) -> tuple[Textbook | None, Latte | None]:
    text = problem.config["text_cfg"]
    tokenizer = SimpleTokenizer(context_length=text["context_length"])
    cfg = problem.model.visual.preprocess_cfg
    pixel_format = PixelFormat(cfg["size"], tuple(cfg["mean"]), tuple(cfg["std"]))
    views = [TrainingView(pixel_format, AugmentSettings(), SEED) for _ in _SIDES]
    textbook, latte = None, None
    if options.side in ("both", "textbook"):
        around = arithmetic(options.precision, problem.pixels.device)
        step = ReferenceStep(problem, tokenizer, around, LEARNING_RATE)
        textbook = Textbook(step, views[0], cache)
    if options.side in ("both", "latte"):
        own = LatteStep(problem, tokenizer, options.precision, LEARNING_RATE)
        latte = Latte(own, views[1], cache, options, folder / "run")
    return textbook, latte


def _run(
    options: argparse.Namespace, textbook: Textbook | None, latte: Latte | None
) -> dict[str, int]:
    """Run epochs in turns; return each side's number of text-tower tokens in its first epoch."""
    tokens: dict[str, int] = {}

    def plain(number: int) -> None:
        if textbook is not None:
            turn = textbook.timed.run if number else textbook.timed.warm_up
            with _CountedTokens(textbook.step.model, tokens, "textbook", active=not number):
                turn(lambda: textbook.epoch(number, options.batch))
        if textbook is not None and latte is not None:
            _compare(options.precision, textbook, latte)

    if latte is None:
        for number in range(options.rounds + 1):
            plain(number)
        return tokens
    with _CountedTokens(latte.step.model, tokens, "latte", active=True) as counted:

        def between(number: int) -> None:
            counted.stop()
            plain(number)

        latte.epochs(options.rounds, between)
    return tokens


class _CountedTokens:
    """Counts the tokens that the text tower encodes, until `stop`."""

    def __init__(self, model: Any, found: dict[str, int], name: str, *, active: bool) -> None:
        self._found = found
        self._name = name
        embedding = model.token_embedding
        self._handle = embedding.register_forward_pre_hook(self._count) if active else None

    def __enter__(self) -> _CountedTokens:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop counting."""
        if self._handle is not None:
            self._handle.remove()

    def _count(self, module: torch.nn.Module, given: tuple[Tensor]) -> None:
        self._found[self._name] = self._found.get(self._name, 0) + given[0].numel()


def _compare(precision: str, textbook: Textbook, latte: Latte) -> None:
    difference = _difference(textbook, latte)
    if precision == "fp32" and difference > TOLERANCE:
        sys.exit(f"the two epochs differ: prototypes by {difference:.1e}")


def _difference(textbook: Textbook, latte: Latte) -> float:
    return (textbook.step.prototypes - latte.step.prototypes).abs().max().item()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks epoch", description=__doc__)
    parser.add_argument("--shape", default="ViT-B-32", help="open_clip's name, or tiny")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--images", type=int, default=32, help="JPEGs of 500 x 375 (%(default)s)")
    parser.add_argument("--large", action="store_true", help="JPEGs of 4000 x 3000 instead")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--micro-batch-size", choices=("auto",), help="auto: latte finds the size that fits"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--side", choices=("both", *_SIDES), default="both", help="one alone, for its peak memory"
    )
    return parser


def _report(
    options: argparse.Namespace,
    sides: Sequence[Textbook | Latte],
    tokens: Mapping[str, int],
    filling: float,
    peak: float,
) -> None:
    lines = [
        f"{options.shape}, {options.device}, {options.precision}, {options.images} images, "
        f"batch {options.batch}, threads {options.threads}, medians of {options.rounds} epochs, "
        f"torch {torch.__version__}",
        peak_line(peak, options.device),
    ]
    lines += [_line(side.timed, options.images, tokens, peak) for side in sides]
    if len(sides) == 2:
        textbook, latte = sides
        assert isinstance(textbook, Textbook)
        assert isinstance(latte, Latte)
        lines += [
            ratio_line(textbook.timed, latte.timed),
            f"difference after {options.rounds + 1} epochs: prototypes "
            f"{_difference(textbook, latte):.1e}",
        ]
    once = f"filling latte's image cache, once: {1000 * filling / options.images:.2f} ms an image"
    say(*lines, once, memory_line(options.device))


def _line(timed: Timed, images: int, tokens: Mapping[str, int], peak: float) -> str:
    wall, cpu = median(timed.wall), median(timed.cpu)
    return (
        f"{timed.name}: {wall:.2f} s an epoch ({cpu:.2f} s of CPU), {images / wall:.2f} images/s, "
        f"{tokens[timed.name] / images:.1f} tokens and {timed.flops / images / 1e9:.2f} GFLOP "
        f"an image, {timed.share_of(peak)}"
    )
