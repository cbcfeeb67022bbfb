"""Tiny checkpoints with random weights, each in its family's real format, built once a session."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from latte_author.testing.fixtures import make_context
from latte_llava.describer import LlavaDescriber
from latte_llava.options import LlavaOptions
from llava_shapes import SHAPES

FAMILIES = tuple(SHAPES)


@cache
def checkpoint(family: str) -> Path:
    """The folder of the checkpoint; tests must not write there."""
    shape = SHAPES[family]()
    folder = Path(_session_folder().name) / family
    with torch.random.fork_rng():
        model = shape.build()
    if family == "fast-vlm":
        # An untrained convolutional tower says next to nothing, which this makes audible.
        with torch.inference_mode():
            features = model.model.vision_tower(torch.ones(1, 3, 64, 64)).last_hidden_state
        model.model.multi_modal_projector.linear_1.weight.data.div_(0.1 * features.std().item())
    model.save_pretrained(folder)
    shape.processor.save_pretrained(folder)
    return folder


@cache
def _session_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="latte-llava-")


def describer(model: Path | str, folder: Path, seed: int = 0, **options: Any) -> LlavaDescriber:
    """A describer of `model`, with short texts."""
    llava_options = LlavaOptions(model=str(model), **{"max_new_tokens": 8, **options})
    return LlavaDescriber(llava_options, make_context(folder, seed))
