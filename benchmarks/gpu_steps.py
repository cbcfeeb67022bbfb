"""Comparison of `python -m benchmarks gpu`: steps with views made before them and ahead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.latte_step import LatteStep
from benchmarks.measuring import Timed
from benchmarks.step_problem import Problem, make_problem
from latte.data.device_crops import ResidentImages
from latte.data.device_views import DeviceViews
from latte.data.side_stream import side_stream
from latte.data.views import TrainingView
from latte.interfaces import Batch, LatteError
from latte.interfaces.settings import AugmentSettings
from latte.train.step import training_step

_STEPS = 6
"""Steps of an epoch; the views of the first one are never made ahead."""


@dataclass(frozen=True)
class Place:
    """Device and sizes of a part, and the folder for its files."""

    device: str
    folder: Path

    @property
    def small(self) -> bool:
        """True on a CPU, where tiny sizes only show that the parts run."""
        return not self.device.startswith("cuda")

    @property
    def shape(self) -> str:
        """Name of the CLIP's shape."""
        return "tiny" if self.small else "ViT-B-32"

    def size(self, large: int, small: int) -> int:
        """Return `small` on a CPU, else `large`."""
        return small if self.small else large

    def problem(self) -> Problem:
        """Return a problem with the published batch size."""
        return make_problem(self.shape, self.size(512, 8), self.device)

    def photos(self) -> Tensor:
        """Return random photos (B, 375, 500, 3) on the device, one per image of `problem`."""
        shape = (self.size(512, 8), 375, 500, 3)
        return torch.randint(256, shape, dtype=torch.uint8).to(self.device)


class _ViewsSide(Timed[None]):
    """Training steps in bf16 on random views, with their measurements."""

    def __init__(self, name: str, problem: Problem, photos: Tensor) -> None:
        super().__init__(name, lambda: self.epoch(2 + len(self.wall)), str(photos.device))
        self._ours = LatteStep(problem, "bf16")
        self._views = photo_views(self._ours, photos, ahead=name == "ahead")

    def epoch(self, epoch: int, kept: list[Tensor] | None = None) -> None:
        """Take the steps of an epoch; `kept` gets copies of the views, made after their step."""
        ours = self._ours
        batches = [ours.indices.roll(number) for number in range(_STEPS)]
        for number, (indices, pixels) in enumerate(self._views.batches(batches, epoch)):
            training_step(ours.learner, ours.inputs, Batch("main", indices, epoch, number), pixels)
            if kept is not None:
                kept.append(pixels.clone())


def photo_views(step: LatteStep, photos: Tensor, *, ahead: bool) -> DeviceViews:
    """Return views of photos (N, H, W, 3), made on a side stream if `ahead`."""
    view = TrainingView(step.learner.backbone.pixel_format, AugmentSettings(), seed=0)
    side = side_stream(photos.device) if ahead else None
    return DeviceViews(view, ResidentImages.of([*photos]), side)


def compare_views(place: Place) -> dict[str, Any]:
    """Take steps with both ways of making views, alternately; return seconds per step.

    Without a CUDA GPU both ways are the same.

    Raises:
        LatteError: if the views differ in any bit.
    """
    problem, photos = place.problem(), place.photos()
    before, ahead = (_ViewsSide(name, problem, photos) for name in ("before the step", "ahead"))
    for one in (before, ahead):
        one.epoch(0)
    expected: list[Tensor] = []
    found: list[Tensor] = []
    before.epoch(1, expected)
    ahead.epoch(1, found)
    differ = sum(not torch.equal(*pair) for pair in zip(found, expected, strict=True))
    if differ:
        raise LatteError(f"views made on a side stream differ in {differ} of {_STEPS} batches")
    del expected, found
    for _ in range(place.size(5, 1)):
        before.measure()
        ahead.measure()
    seconds = median(ahead.wall) / _STEPS
    without = median(before.wall) / _STEPS
    return {
        "batches of views that differ": differ,
        "seconds": seconds,
        "seconds without": without,
        "ratio": without / seconds,
    }
