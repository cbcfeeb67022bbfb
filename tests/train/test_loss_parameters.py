"""A loss's own parameters are trained, recorded in each step, and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from latte.components.options import ContrastiveOptions
from latte.train.training import Training
from tests.helpers.method_doubles import TemperatureLoss
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import latteclip_part
from tests.helpers.training_runs import (
    StoppedError,
    assert_same_bits,
    metrics,
    outcome,
    run,
    stop_after,
)

pytestmark = pytest.mark.thorough

Make = Callable[..., Training]
NAME = "loss.log_temperature"


def with_temperature(make: Make, name: str) -> Training:
    loss = TemperatureLoss(ContrastiveOptions(), CONTEXT)
    return make(name, parts=[replace(latteclip_part(), loss=loss)])


def test_temperature_of_a_loss_is_trained_and_recorded(make: Make) -> None:
    training = run(with_temperature(make, "run"))
    (learner,) = training.learners
    recorded = [row[NAME] for row in metrics(training) if row["event"] == "step"]
    assert len({*recorded}) == len(recorded) == 7
    assert 0 not in recorded
    assert learner.parameters[NAME].item() == recorded[-1]


def test_loss_parameters_resume_with_identical_bits(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(with_temperature(make, "whole"))
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedError):
            run(with_temperature(make, "stopped"))
    resumed = run(with_temperature(make, "stopped"))
    assert_same_bits(outcome(whole), outcome(resumed))
    assert metrics(whole) == metrics(resumed)
    assert torch.is_nonzero(resumed.learners[0].parameters[NAME])


def test_loss_without_parameters_records_none(make: Make) -> None:
    rows = metrics(run(make()))
    assert not [name for row in rows for name in row if name.startswith("loss.")]
