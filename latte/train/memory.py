"""Explain that a training step does not fit into memory, and name the setting that makes it fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from latte import distributed
from latte.interfaces import LatteError
from latte.interfaces.settings import TrainSettings
from latte.io.machine import is_out_of_memory


@contextmanager
def explain_out_of_memory(settings: TrainSettings, images: int) -> Iterator[None]:
    """Raise a `LatteError` with advice if a step on `images` images lacks memory."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise LatteError(
            f"memory does not hold a step on {images} images",
            where="train.micro_batch_size",
            hint=_advice(settings, math.ceil(images / distributed.world_size())),
        ) from error


def _advice(settings: TrainSettings, images: int) -> str:
    """Return advice for a process that encodes `images` images per step."""
    size = min(settings.micro_batch_size or images, images)
    if size > 1:
        return (
            f"--set train.micro_batch_size={size // 2}: less memory, equal results up to rounding"
        )
    if not settings.gradient_checkpointing:
        return "--set train.gradient_checkpointing=true: less memory, one more forward pass"
    return "take a smaller model, train fewer parameters, or stop what else needs memory"
