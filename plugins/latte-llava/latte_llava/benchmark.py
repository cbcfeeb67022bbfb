"""Benchmark of the throughput of descriptions, in images per second, for each batch size.

python -m latte_llava.benchmark --shape llava-1.6-7b --images 64 --batch-sizes 1,8,32
python -m latte_llava.benchmark --model FOLDER --images 64 --batch-sizes 1,8,32
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from latte.api import Context, LatteError
from latte_llava.checkpoint import find_checkpoint
from latte_llava.conversation import Conversation
from latte_llava.devices import choose_dtype
from latte_llava.loading import generation_config, load_model, load_processor, one_tile_config
from latte_llava.options import LlavaOptions
from latte_llava.replica import Question, Replica, Sampling
from latte_llava.schedule import answer_all
from latte_llava.shapes import SHAPES, Shape
from latte_llava.views import TILED, View, image_cost, make_view

PROMPT = "Describe the object in the photo concisely, less than 20 words."
SIZES = ((500, 375), (375, 500), (640, 480), (400, 400))
"""Widths and heights of the synthetic images, used in turn."""


def main(given: Sequence[str] | None = None) -> None:
    """Print the throughput of each batch size; each repetition measures all sizes in turn."""
    arguments = parse(given)
    sizes = [int(size) for size in arguments.batch_sizes.split(",")]
    replica, questions = prepare(arguments)
    _say(
        f"{arguments.model or arguments.shape} on {arguments.device}, {replica.model.dtype}, "
        f"{arguments.resolution}, {len(questions)} images, {arguments.max_new_tokens} tokens each, "
        f"median of {arguments.rounds}; torch {torch.__version__}"
    )
    for size in sizes:
        _seconds(replica, questions[: 2 * size], size)
    rounds = [
        [_seconds(replica, questions, size) for size in sizes] for _ in range(arguments.rounds)
    ]
    medians = [median(times) for times in zip(*rounds, strict=True)]
    for size, seconds in zip(sizes, medians, strict=True):
        speedup = medians[0] / seconds
        _say(f"batch {size:4d}: {len(questions) / seconds:8.2f} images/s  {speedup:5.2f}x")
    if arguments.device.startswith("cuda"):
        _say(f"peak GPU memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", help="a folder, or a model of the hub that is in the cache")
    what.add_argument("--shape", choices=sorted(SHAPES), help="random weights of this shape")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch-sizes", default="1,8,32", help="the first is what 1x means")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resolution", choices=("thumbnail", "full"), default="thumbnail")
    parser.add_argument("--max-new-tokens", type=int, default=77)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="auto")
    return parser.parse_args(given)


def prepare(arguments: argparse.Namespace) -> tuple[Replica, list[Question]]:
    """Return a replica of the model and one question per synthetic image."""
    options = LlavaOptions(
        model=arguments.model or arguments.shape,
        resolution=arguments.resolution,
        dtype=arguments.dtype,
        max_new_tokens=arguments.max_new_tokens,
    )
    view, model_type, model = (_random if arguments.shape else _stored)(arguments, options)
    # With random weights, texts have random lengths; a fixed length makes times comparable.
    model.generation_config.min_new_tokens = options.max_new_tokens
    conversation = Conversation(view.processor, model_type, None)
    replica = Replica(model, view.processor, conversation, Sampling(), limit=1)
    text = conversation.text(PROMPT, images=1)
    return replica, [_question(number, text, view) for number in range(arguments.images)]


def _random(arguments: argparse.Namespace, options: LlavaOptions) -> tuple[View, str, Any]:
    shape = SHAPES[arguments.shape]()
    shape.processor.tokenizer.padding_side = "left"
    view = make_view(shape.processor, shape.config, options.resolution)
    tiled = shape.config.model_type in TILED and options.resolution == "thumbnail"
    config = one_tile_config(shape.config) if tiled else shape.config
    dtype = getattr(torch, choose_dtype(options, [arguments.device]))
    model = Shape(config, view.processor).build(arguments.device, dtype)
    tokenizer = view.processor.tokenizer
    model.generation_config = generation_config(model, tokenizer, options.max_new_tokens)
    return view, shape.config.model_type, model


def _stored(arguments: argparse.Namespace, options: LlavaOptions) -> tuple[View, str, Any]:
    with TemporaryDirectory() as cache:
        context = Context(Path.cwd(), Path(cache), arguments.device, 0, frozen_clip=_no_clip)
        checkpoint = find_checkpoint(options, context)
    view = make_view(load_processor(checkpoint), checkpoint.config, options.resolution)
    dtype = choose_dtype(options, [arguments.device])
    model = load_model(checkpoint, options, dtype, arguments.device, view.processor.tokenizer)
    return view, checkpoint.config.model_type, model


def _no_clip() -> Any:
    raise LatteError("the benchmark has no CLIP")


def _question(number: int, text: str, view: View) -> Question:
    width, height = SIZES[number % len(SIZES)]
    random = np.random.default_rng(number)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = view.shown(Image.fromarray(pixels))
    return Question((image,), text, number, (image_cost(image, view.processor), len(text)))


def _seconds(replica: Replica, questions: Sequence[Question], size: int) -> float:
    replica.limit = size
    began = time.perf_counter()
    answer_all([replica], questions, Replica.answer, lambda tokens: None)
    seconds = time.perf_counter() - began
    if replica.limit < size:
        _say(f"batch {size}: memory suffices for {replica.limit} only")
    return seconds


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except LatteError as error:
        sys.exit(str(error))
