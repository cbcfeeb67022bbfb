"""Compare steps whose views are made on a side stream with steps whose views are made before."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from benchmarks import step
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


class _Side(Timed):
    """Training steps in bf16 on random views, with their measurements."""

    def __init__(self, name: str, problem: Problem, photos: Tensor, *, ahead: bool) -> None:
        super().__init__(name, str(photos.device))
        tokenizer = SimpleTokenizer(context_length=problem.config["text_cfg"]["context_length"])
        self._ours = LatteStep(problem, tokenizer, "bf16", step.LEARNING_RATE)
        pixel_format = self._ours.learner.backbone.pixel_format
        view = TrainingView(pixel_format, AugmentSettings(), seed=0)
        side = side_stream(photos.device) if ahead else None
        self._views = DeviceViews(view, ResidentImages.of([*photos]), side)

    def epoch(self, epoch: int, kept: list[Tensor] | None = None) -> None:
        """Take the steps of an epoch; `kept` gets copies of the views, made after their step."""
        ours = self._ours
        batches = [ours.indices.roll(number) for number in range(_STEPS)]
        for number, (indices, pixels) in enumerate(self._views.batches(batches, epoch)):
            training_step(ours.learner, ours.inputs, Batch("main", indices, epoch, number), pixels)
            if kept is not None:
                kept.append(pixels.clone())


def compare_views(*, device: str, shape: str, batch: int, rounds: int) -> dict[str, Any]:
    """Take steps with both ways of making views, alternately; return seconds per step.

    Without a CUDA GPU both ways are the same.

    Raises:
        LatteError: if the views differ in any bit.
    """
    problem = make_problem(shape, batch, device)
    photos = torch.randint(256, (batch, 375, 500, 3), dtype=torch.uint8).to(device)
    before = _Side("before the step", problem, photos, ahead=False)
    ahead = _Side("ahead", problem, photos, ahead=True)
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
    for number in range(rounds):
        for one in (before, ahead):
            one.run(partial(one.epoch, 2 + number))
    seconds = median(ahead.wall) / _STEPS
    without = median(before.wall) / _STEPS
    return {
        "batches of views that differ": differ,
        "seconds": seconds,
        "seconds without": without,
        "ratio": without / seconds,
    }
