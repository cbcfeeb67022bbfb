"""Values that components return are checked without a wait for the device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from latte_author.testing.doubles import FixedPrototypes
from torch import nn

from latte.interfaces import Classifier, EpochInfo, LabelStream, LatteError, NoOptions, Supervision
from latte.train import step as step_module
from latte.train.checked import (
    check_epoch_info,
    check_finite,
    check_ranges,
    check_streams,
    checked_classifier,
)
from latte.train.loop import train
from latte.train.training import Training
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import latteclip_labelers

pytestmark = pytest.mark.thorough

ROWS = torch.eye(3, 4)
OWNERS = torch.arange(3)
WIDTHS = {"main": 4, "eyes": 4}


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (None, "it is of type NoneType, not EpochInfo"),
        (EpochInfo({"other": Classifier(ROWS, OWNERS)}), "no learner or encoder 'other'"),
        (EpochInfo({"main": Classifier(ROWS[:, 1:], OWNERS)}), r"have the shape \(3, 3\)"),
        (EpochInfo({"main": Classifier(ROWS[1:], OWNERS[1:])}), r"have the shape \(2, 4\)"),
        (EpochInfo({"main": Classifier(ROWS, OWNERS.clamp(max=1))}), "not each of 3 classes"),
        (EpochInfo({"main": Classifier(ROWS, OWNERS + 1)}), "not each of 3 classes"),
        (EpochInfo({"eyes": Classifier(ROWS * torch.nan, OWNERS)}), "not finite numbers"),
        (EpochInfo({"main": Classifier(ROWS.double(), OWNERS)}), "are float64, not float32"),
        (EpochInfo({"main": (ROWS, OWNERS)}), "of type tuple, not Classifier"),  # type: ignore[dict-item]
    ],
)
def test_faulty_epoch_info_is_refused(info: object, message: str) -> None:
    (labeler, _) = latteclip_labelers()
    with pytest.raises(LatteError, match=message):
        check_epoch_info(labeler, info, 3, WIDTHS)


def test_epoch_info_with_several_rows_per_class_is_accepted() -> None:
    (labeler, _) = latteclip_labelers()
    rows = Classifier(torch.cat([ROWS, ROWS]), torch.cat([OWNERS, OWNERS]), torch.zeros(6))
    check_epoch_info(labeler, EpochInfo({"main": rows}), 3, WIDTHS)


def test_rounding_and_wide_weights_are_accepted() -> None:
    (labeler, _) = latteclip_labelers()
    weights = torch.tensor([1.0 + 1e-6, 0.0], dtype=torch.float64)
    stream = LabelStream("stream", torch.tensor([0, 2]), weights)
    check_streams(labeler, [stream], torch.zeros(2, 4))
    check_ranges([labeler], [stream], 3)


def test_numbers_of_a_diverged_training_are_nobodys_fault(make: Callable[..., Training]) -> None:
    learner = make("diverged").learners[0]
    features = torch.ones(2, 4)
    stream = LabelStream("stream", torch.tensor([0, 1]), torch.ones(2))
    supervisions = [Supervision(stream, targets=features * torch.nan)]
    losses = [torch.tensor(torch.nan)]
    with pytest.raises(LatteError, match="its supervision cannot be used: targets are not finite"):
        check_finite(learner, supervisions, losses, features)
    check_finite(learner, supervisions, losses, features * torch.inf)
    nn.Parameter.fill_(next(iter(learner.parameters.values())).data, torch.nan)
    check_finite(learner, supervisions, losses, features)


def test_prototypes_are_checked_once_per_epoch(
    make: Callable[..., Training],
    silent_progress: RecordedProgress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        step_module, "checked_classifier", lambda *arguments, reads: calls.append(arguments[1])
    )
    training = make("run")
    train(training, silent_progress)
    epochs = -(-training.total_steps // training.steps_per_epoch)
    assert calls == [3] * epochs


def test_learner_with_prototypes_of_another_width_is_refused(
    make: Callable[..., Training],
) -> None:
    learner = make("width").learners[0]
    learner.aggregator = FixedPrototypes(NoOptions(), CONTEXT)
    learner.aggregator._features = ROWS
    with pytest.raises(LatteError, match="FixedPrototypes: its classifier cannot be used: rows"):
        checked_classifier(learner, 3)
