"""Training images on the device, where there is room for them."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.data.cache import ImageCache
from latte.data.device_views import DeviceViews
from latte.data.views import TrainingView
from latte.interfaces import LatteError, Progress
from latte.interfaces.settings import TrainSettings

_TYPES = ("cpu", "cuda")
SHARE = 0.25
"""Of a GPU's memory, whoever uses the rest: so that another run on it decides alike."""


def make_device_views(
    view: TrainingView,
    images: ImageCache,
    device: str,
    settings: TrainSettings,
    progress: Progress,
) -> DeviceViews | None:
    """Views on the device, where the settings want them and images fit; None: on the CPU.

    Raises:
        LatteError: where they must be on the device, and do not fit there or cannot be made there.
    """
    place = torch.device(device)
    wanted = settings.augment_on == "device" or (
        settings.augment_on == "auto" and place.type == "cuda"
    )
    if settings.augment is None or not settings.takes_steps or not wanted:
        return None
    if place.type not in _TYPES:
        raise LatteError(
            f"views cannot be made on {device}, which lacks numbers of 64 bits",
            where="train.augment_on",
            hint="write `augment_on: cpu`, or `auto`",
        )
    kept = resident_images(images, place, _budget(place), progress)
    if kept is not None:
        progress.say(f"train: {len(kept)} images stay on {device}, where their views are made")
        return DeviceViews(view, kept)
    if settings.augment_on == "device":
        raise LatteError(
            f"the images take more than {SHARE:.0%} of the memory of {device}",
            where="train.augment_on",
            hint="write `augment_on: cpu`, or `auto`",
        )
    progress.say(f"train: images take too much of the memory of {device}; the CPU makes the views")
    return None


def resident_images(
    images: ImageCache, device: torch.device, budget: int | None, progress: Progress
) -> list[Tensor] | None:
    """All images as (H, W, 3) uint8 on `device`, or None if they take more than `budget` bytes."""
    kept: list[Tensor] = []
    left = budget
    with progress.task("images to the device", len(images), "images") as task:
        for index in range(len(images)):
            pixels = images.pixels(index)
            if left is not None:
                left -= pixels.nbytes
                if left < 0:
                    return None
            # A copy, for the cache hands out what may only be read.
            try:
                kept.append(torch.tensor(pixels, device=device))
            except torch.OutOfMemoryError:
                return None
            task.advance()
    return kept


def _budget(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return int(SHARE * torch.cuda.get_device_properties(device).total_memory)
