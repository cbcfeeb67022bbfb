"""What a run relies on before it decides whether to adapt."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from latte.api import Guard, Kind, Verdict
from latte.testing.component import ComponentContract
from latte.testing.fixtures import training_start


class GuardContract(ComponentContract):
    """A verdict with a reason, whatever the number of classes, and the same one each time."""

    kind: ClassVar[Kind] = "guard"

    def judged(self, folder: Path, classes: int) -> Verdict:
        """The verdict of a new guard on made-up features of so many classes."""
        guard: Guard[Any] = self.make(folder)
        start = training_start(classes)
        images, texts = start.image_features.clone(), start.class_features.clone()
        verdict = guard.judge(images, texts)
        unchanged = torch.equal(images, start.image_features) and torch.equal(
            texts, start.class_features
        )
        assert unchanged, "judge() must not write into the features"
        return verdict

    @pytest.mark.parametrize("classes", [1, 2, 4])
    def test_a_verdict_has_a_reason(self, tmp_path: Path, classes: int) -> None:
        """A plain bool, as it is written to a file, and a clause for people."""
        verdict = self.judged(tmp_path, classes)
        assert isinstance(verdict, Verdict), "judge() must return a Verdict"
        assert isinstance(verdict.adapt, bool), f"adapt is {verdict.adapt!r}, not a bool"
        assert verdict.reason.strip(), "the reason is empty"
        assert len(verdict.reason.splitlines()) == 1, "the reason has several lines"

    def test_verdicts_are_deterministic(self, tmp_path: Path) -> None:
        """A run that is done again must not change its mind."""
        message = "the same features get another verdict"
        assert self.judged(tmp_path, 4) == self.judged(tmp_path, 4), message
