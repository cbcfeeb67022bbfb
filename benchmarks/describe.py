"""Compare describing images in batches, as latte does, with one image after the other.

Both sides use the same model, prompt and images, with texts of a fixed length. They take turns in
one process, and must write the same texts. The default model is latte-tiny's LMM (large multimodal
model); `--shape` takes another model with random weights (see `python -m latte_llava.benchmark
--help`). Below fp32, rounding in a batch may change a word: the number of equal texts is printed.
"""

from __future__ import annotations

import argparse
import operator
import sys
from collections.abc import Sequence

import torch
from latte_llava import benchmark
from latte_llava.replica import Replica
from latte_llava.schedule import answer_all

from benchmarks.measuring import (
    Timed,
    comparison_parser,
    parse_comparison,
    peak_rate,
    report,
    take_turns,
)
from latte.registry.registry import load_registry
from latte.run.workspace import find_device

_PLUGIN = "plugin:"
_SIDES = ("one", "batch")


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options, names = parse_comparison(_parser(), arguments, _SIDES)
    replica, questions = benchmark.prepare(benchmark.parse(_of_plugin(options)))
    embedding = replica.model.get_input_embeddings()

    def side(size: int) -> Timed[list[str]]:
        def answer() -> list[str]:
            replica.limit = size
            return answer_all([replica], questions, Replica.answer, lambda tokens: None)

        return Timed(f"batch {size}", answer, replica.model.device.type, embedding)

    sides = [side(1 if name == "one" else options.batch) for name in names]
    take_turns(sides, options.rounds)
    dtype = replica.model.dtype
    if len({tuple(one.result) for one in sides}) > 1 and dtype == torch.float32:
        sys.exit("a batch wrote other texts than one image after the other")
    about = (
        f"{options.shape or options.model}, {options.device}, {dtype}, {options.images} images, "
        f"{options.max_new_tokens} tokens each"
    )
    first, last = sides[0].result, sides[-1].result
    equality = f"equal texts: {sum(map(operator.eq, first, last))} of {options.images}"
    peak = peak_rate(dtype, options.device)
    return report(options, about, sides, options.images, peak, equality)


def _parser() -> argparse.ArgumentParser:
    parser = comparison_parser("describe", __doc__, _SIDES, rounds=3)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", default="plugin:tiny-lmm", help="plugin:NAME or a folder")
    what.add_argument("--shape", help="random weights of this shape, in place of a model")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
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
