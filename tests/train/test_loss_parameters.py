"""A loss's own parameters are trained, recorded in each step, and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from latte.interfaces import NoOptions, TrainableGroup
from latte.train import loop
from latte.train.learner import loss_parameters
from latte.train.training import Training
from tests.helpers.clip_models import SIGLIP_LIKE, build_clip
from tests.helpers.method_doubles import TemperatureLoss
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import latteclip_part
from tests.helpers.training_runs import (
    assert_resumes,
    metrics,
    run,
)

pytestmark = pytest.mark.thorough

Make = Callable[..., Training]
NAME = "loss.log_temperature"


def with_temperature(make: Make, name: str, group: TrainableGroup = "all") -> Training:
    loss = TemperatureLoss(NoOptions(), CONTEXT)
    return make(name, parts=[replace(latteclip_part(trainable=group), loss=loss)])


def test_temperature_of_a_loss_is_trained_and_recorded(make: Make) -> None:
    training = run(with_temperature(make, "run"))
    (learner,) = training.learners
    recorded = [row[NAME] for row in metrics(training) if row["event"] == "step"]
    assert len({*recorded}) == len(recorded) == 7
    assert 0 not in recorded
    assert learner.parameters[NAME].item() == recorded[-1]
    assert NAME not in learner.trained_in_backbone
    assert [*learner.parameters] == [*learner.trained_in_backbone, NAME]


def test_loss_parameters_resume_with_identical_bits(make: Make) -> None:
    resumed = assert_resumes(lambda name: with_temperature(make, name), 5)
    assert torch.is_nonzero(resumed.learners[0].parameters[NAME])


@pytest.mark.parametrize(("group", "warns"), [("none", False), ("projections", True)])
def test_temperature_alone_does_not_train_a_sigmoid_model(
    make: Make, group: TrainableGroup, warns: bool
) -> None:
    training = with_temperature(make, "run", group)
    (learner,) = training.learners
    learner.backbone = build_clip(SIGLIP_LIKE)
    notes = [*loop._notes(learner)]
    assert any("pretrained with a sigmoid loss" in note for note in notes) == warns


class LossWithLength(TemperatureLoss):
    def __len__(self) -> int:
        return 0


def test_parameters_of_a_loss_without_elements_are_trained() -> None:
    loss = LossWithLength(NoOptions(), CONTEXT)
    assert [*loss_parameters(loss)] == [NAME]


def test_loss_without_parameters_records_none(make: Make) -> None:
    rows = metrics(run(make()))
    assert not [name for row in rows for name in row if name.startswith("loss.")]
