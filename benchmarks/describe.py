"""Compare describing images in batches, as latte does, with one image after the other.

Both sides use the same model, prompt and images, with texts of a fixed length. They take turns in
one process, and must write the same texts. The default model is latte-tiny's LMM (large multimodal
model); `--model` takes another model of latte-llava. Below fp32, rounding in a batch may change a
word: the number of equal texts is printed.
"""

from __future__ import annotations

import argparse
import operator
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from latte_llava.describer import LlavaDescriber
from latte_llava.model import ImageTextModel
from latte_llava.options import LlavaOptions
from PIL import Image

from benchmarks.measuring import (
    Timed,
    comparison_parser,
    no_clip,
    parse_comparison,
    peak_rate,
    report,
    take_turns,
)
from latte.interfaces import Context, DescribedImage, DescribeRequest
from latte.io.device import find_device
from latte.io.environment import cache_folder
from latte.registry.registry import load_registry

_SIDES = ("one", "batch")
_PROMPT = "Describe the object in the photo concisely, less than 20 words."
_SIZES = ((500, 375), (375, 500), (640, 480), (400, 400))
"""Widths and heights of the synthetic images, used in turn."""


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options, names = parse_comparison(_parser(), arguments, _SIDES)
    describer = _describer(options)
    requests = [_request(number) for number in range(options.images)]
    model = _loaded_model(describer, requests[0], options.max_new_tokens)

    def side(size: int) -> Timed[list[str]]:
        def answer() -> list[str]:
            model.limit = size
            return describer.describe(requests)

        device, embedding = describer.context.device, model.model.get_input_embeddings()
        return Timed(f"batch {size}", answer, device, embedding)

    sides = [side(1 if name == "one" else options.batch) for name in names]
    take_turns(sides, options.rounds)
    dtype = model.model.dtype
    if len({tuple(side.result) for side in sides}) > 1 and dtype == torch.float32:
        sys.exit("a batch wrote other texts than one image after the other")
    about = (
        f"{options.model}, {options.device}, {dtype}, {options.images} images, "
        f"{options.max_new_tokens} tokens each"
    )
    texts = [side.result for side in sides]
    equality = f"equal texts: {sum(map(operator.eq, texts[0], texts[-1]))} of {options.images}"
    peak = peak_rate(dtype, options.device)
    return report(options, about, sides, options.images, peak, equality)


def _parser() -> argparse.ArgumentParser:
    parser = comparison_parser("describe", __doc__, _SIDES, rounds=3)
    parser.add_argument("--model", default="plugin:tiny-lmm", help="plugin:NAME or a folder")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    return parser


def _describer(options: argparse.Namespace) -> LlavaDescriber:
    llava_options = LlavaOptions(
        model=options.model, max_new_tokens=options.max_new_tokens, dtype=options.dtype
    )
    device, find_folder = find_device(options.device), load_registry().model_folder
    context = Context(Path.cwd(), cache_folder(), device, 0, no_clip, find_folder)
    return LlavaDescriber(llava_options, context)


def _loaded_model(
    describer: LlavaDescriber, request: DescribeRequest, tokens: int
) -> ImageTextModel:
    """Return the model; all its texts have the same length, so that times are comparable."""
    describer.describe([request])
    assert describer._loaded is not None
    model = describer._loaded.model
    model.model.generation_config.min_new_tokens = tokens
    return model


def _request(number: int) -> DescribeRequest:
    """Return a question about a synthetic image."""
    width, height = _SIZES[number % len(_SIZES)]
    random = np.random.default_rng(number)
    image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    shown = DescribedImage(str(number), torch.zeros(1), lambda: image)
    return DescribeRequest((shown,), _PROMPT)
