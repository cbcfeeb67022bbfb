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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.latte_step import LatteStep
from benchmarks.loader import HEIGHT, WIDTH, filled_cache, write_images
from benchmarks.measuring import Timed, parse_comparison, report, take_turns
from benchmarks.reference_step import ReferenceStep
from benchmarks.step import (
    SIDES,
    TOLERANCE,
    build_step,
    make_parser,
    product_rate,
    prototype_difference,
)
from benchmarks.step_problem import LEARNING_RATE, make_problem
from latte.data.batches import epoch_batches
from latte.data.cache import ImageCache
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.progress import SilentProgress
from latte.interfaces.settings import AugmentSettings, OptimizerSettings, TrainSettings
from latte.io.device import find_device
from latte.train.learner import Learner
from latte.train.loop import train
from latte.train.timing import wait_for
from latte.train.training import Training

SEED = 0


class Finished(Exception):  # noqa: N818 - nothing went wrong
    """Raised to leave latte's loop after the last measured epoch."""


class Textbook(Timed[None]):
    """The plain training loop."""

    def __init__(self, step: ReferenceStep, view: TrainingView, images: ImageCache, batch: int):
        super().__init__("textbook", self._epoch, step.device.type, step.model.token_embedding)
        self.step = step
        self._view = view
        self._images = images.images
        self._batch = batch
        self._epochs = 0

    def _epoch(self) -> None:
        """Train on all images once."""
        self.step.epoch_start = self.step.prototypes.clone()
        for rows in epoch_batches(len(self._images), self._batch, SEED, self._epochs):
            views = [self._load(row) for row in rows.tolist()]
            self.step.step_on(rows.tolist(), torch.stack(views))
        self._epochs += 1

    def _load(self, row: int) -> Tensor:
        with Image.open(self._images[row].path) as image:
            return self._view(image.convert("RGB"), row, self._epochs)


class Latte(Timed[None]):
    """Latte's training loop; its hook for evaluations is called after each epoch."""

    def __init__(
        self,
        step: LatteStep,
        view: TrainingView,
        images: ImageCache,
        options: argparse.Namespace,
        folder: Path,
    ) -> None:
        super().__init__("latte", lambda: None, options.device, step.model.token_embedding)
        self.step = step
        self._options = options
        self._view = view
        self._images = images
        self._folder = folder

    def epochs(self, rounds: int, between: Callable[[], None]) -> None:
        """Warm up for an epoch, then time `rounds`; call `between` after each."""
        counting = ExitStack()
        counting.enter_context(self.counted())
        marks: list[tuple[float, float]] = []

        def after_an_epoch(learners: Sequence[Learner]) -> Mapping[str, float]:
            now = self._now()
            if marks:
                self.wall.append(now[0] - marks[-1][0])
                self.cpu.append(now[1] - marks[-1][1])
            counting.close()
            between()
            if len(self.wall) == rounds:
                raise Finished
            marks.append(self._now())
            return {}

        with suppress(Finished):
            train(self._training(rounds + 2, after_an_epoch), SilentProgress())

    def _training(self, epochs: int, evaluate: Any) -> Training:
        settings = TrainSettings(
            batch_size=self._options.batch,
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
        )

    def _now(self) -> tuple[float, float]:
        wait_for(self.device)
        return time.perf_counter(), time.process_time()


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options, names = parse_comparison(_parser(), arguments, SIDES)
    problem = make_problem(options.shape, options.images, find_device(options.device))
    steps = {name: build_step(name, problem, options.precision) for name in names}
    with TemporaryDirectory(prefix="latte-benchmark-") as name:
        folder = Path(name)
        images = write_images(folder / "images", options.images, (WIDTH, HEIGHT))
        cache, filling = filled_cache(images, folder / "pixels")
        cfg = problem.model.visual.preprocess_cfg
        pixel_format = PixelFormat(cfg["size"], tuple(cfg["mean"]), tuple(cfg["std"]))
        views = {name: TrainingView(pixel_format, AugmentSettings(), SEED) for name in names}
        sides: list[Timed[None]] = []
        if "textbook" in names:
            sides.append(Textbook(steps["textbook"], views["textbook"], cache, options.batch))
        if "latte" in names:
            sides.append(Latte(steps["latte"], views["latte"], cache, options, folder / "run"))
        _run(sides, options)
    equality = ""
    if len(sides) == 2:
        difference = prototype_difference(*steps.values())
        equality = f"difference after {options.rounds + 1} epochs: prototypes {difference:.1e}"
    about = (
        f"{options.shape}, {options.device}, {options.precision}, {options.images} images, "
        f"batch {options.batch}"
    )
    once = f"filling latte's image cache, once: {1000 * filling / options.images:.2f} ms an image"
    peak = product_rate(options.precision, options.device)
    return report(options, about, sides, options.images, peak, equality, once)


def _run(sides: Sequence[Any], options: argparse.Namespace) -> None:
    """Run epochs in turns: the textbook's between those of latte's loop."""
    *textbook, latte_side = sides
    if isinstance(latte_side, Textbook):
        take_turns(sides, options.rounds)
        return

    def between() -> None:
        for side in textbook:
            side.measure() if side.flops else side.begin()
            difference = prototype_difference(side.step, latte_side.step)
            if options.precision == "fp32" and difference > TOLERANCE:
                sys.exit(f"the two epochs differ: prototypes by {difference:.1e}")

    latte_side.epochs(options.rounds, between)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("epoch", __doc__, rounds=2)
    parser.add_argument("--images", type=int, default=32, help="JPEGs of 500 x 375 (%(default)s)")
    return parser
