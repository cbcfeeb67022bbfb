"""Compare describing images in batches, as latte does, with one image after the other.

Both sides use the same model, prompt and images, with texts of a fixed length. They take turns in
one process, and must write the same texts. The default model is latte-tiny's LMM (large multimodal
model); `--shape` takes another model with random weights (see `python -m latte_llava.benchmark
--help`). Below fp32, rounding in a batch may change a word: the number of equal texts is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median

import torch
from latte_llava import benchmark
from latte_llava.replica import Question, Replica
from latte_llava.schedule import answer_all

from benchmarks.measuring import (
    Timed,
    memory_line,
    peak_line,
    peak_rate,
    ratio_line,
    say,
    side_figures,
)
from latte.registry.registry import load_registry
from latte.run.process import keep_freed_memory
from latte.run.workspace import find_device

_PLUGIN = "plugin:"


class Side(Timed):
    """Description of all images in batches of one size."""

    def __init__(self, replica: Replica, questions: Sequence[Question], size: int) -> None:
        super().__init__(f"batch {size}", replica.model.device.type)
        self.size = size
        self.tokens = 0
        self.texts: list[str] = []
        self._replica = replica
        self._questions = questions

    def begin(self) -> None:
        """Describe all images once as warm-up, and count tokens and FLOPs."""
        handle = self._replica.model.get_input_embeddings().register_forward_pre_hook(self._count)
        self.texts = self.warm_up(self._answer)
        handle.remove()

    def measure(self) -> None:
        """Describe all images and measure the time."""
        self.texts = self.run(self._answer)

    def _answer(self) -> list[str]:
        self._replica.limit = self.size
        return answer_all([self._replica], self._questions, Replica.answer, lambda tokens: None)

    def _count(self, module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        self.tokens += given[0].numel()


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    replica, questions = benchmark.prepare(benchmark.parse(_of_plugin(options)))
    sizes = {"both": (1, options.batch), "one": (1,), "batch": (options.batch,)}[options.side]
    sides = [Side(replica, questions, size) for size in sizes]
    _in_turns(sides, options.rounds)
    dtype = replica.model.dtype
    if len({*map(tuple, (side.texts for side in sides))}) > 1 and dtype == torch.float32:
        sys.exit("a batch wrote other texts than one image after the other")
    peak = peak_rate(dtype, options.device)
    _report(options, sides, dtype, peak)
    return side_figures(sides, options.images, peak)


def _in_turns(sides: Sequence[Side], rounds: int) -> None:
    turns: list[Callable[[Side], None]] = [Side.begin, *[Side.measure] * rounds]
    for turn in turns:
        for side in sides:
            turn(side)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks describe", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", default="plugin:tiny-lmm", help="plugin:NAME or a folder")
    what.add_argument("--shape", help="random weights of this shape, in place of a model")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-new-tokens", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--side", choices=("both", "one", "batch"), default="both", help="one, for its peak memory"
    )
    return parser


def _of_plugin(options: argparse.Namespace) -> list[str]:
    """Return the options in the form that latte-llava's benchmark accepts."""
    name = options.model.removeprefix(_PLUGIN)
    model = str(load_registry().model_folder(name)) if name != options.model else name
    what = ["--shape", options.shape] if options.shape else ["--model", model]
    return [
        *what,
        *("--images", str(options.images), "--max-new-tokens", str(options.max_new_tokens)),
        *("--device", find_device(options.device), "--dtype", options.dtype),
    ]


def _report(
    options: argparse.Namespace, sides: Sequence[Side], dtype: torch.dtype, peak: float
) -> None:
    images = options.images
    lines = [
        f"{options.shape or options.model}, {options.device}, {dtype}, {images} images, "
        f"{options.max_new_tokens} tokens each, threads {options.threads}, "
        f"medians of {options.rounds} rounds, torch {torch.__version__}",
        peak_line(peak, options.device),
    ]
    for side in sides:
        seconds, cpu = median(side.wall), median(side.cpu)
        lines.append(
            f"{side.name}: {images / seconds:.2f} images/s ({1000 * cpu / images:.1f} ms of CPU "
            f"an image), {side.tokens / images:.0f} tokens and {side.flops / images / 1e9:.2f} "
            f"GFLOP an image, {side.share_of(peak)}"
        )
    if len(sides) == 2:
        equal = sum(a == b for a, b in zip(*(side.texts for side in sides), strict=True))
        lines += [ratio_line(*sides), f"equal texts: {equal} of {images}"]
    say(*lines, memory_line(options.device))
