"""Checkpoints by time: a stopped training loses little work, and resumes with identical bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from latte.interfaces import NoOptions
from latte.train import checkpoint, loop
from latte.train.checkpoint import Checkpoints
from latte.train.loop import train
from latte.train.training import Training
from tests.helpers.clock import Clock
from tests.helpers.method_doubles import AgreementLabeler
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import SETTINGS, with_settings
from tests.helpers.training_runs import assert_same_bits, metrics, outcome, reclip_parts, run

RARELY = with_settings(SETTINGS, checkpoint_every=1000, evaluate_every=0)
"""Settings whose only checkpoint by steps is the one after the last step."""


Make = Callable[..., tuple[Training, Clock]]


@pytest.fixture
def make(make: Callable[..., Training]) -> Make:
    def build(name: str, **changes: Any) -> tuple[Training, Clock]:
        clock = Clock(1000.0)
        return replace(make(name, settings=RARELY, **changes), clock=clock), clock

    return build


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, steps: int, learners: int = 1
) -> None:
    """Let each step take 50 seconds of `clock`, and interrupt the training after `steps` steps."""
    take, steps_taken = loop.training_step, 0

    def step(*arguments: Any) -> Any:
        nonlocal steps_taken
        if steps_taken == steps * learners:
            raise KeyboardInterrupt
        steps_taken += 1
        clock.now += 50.0 / learners
        return take(*arguments)

    monkeypatch.setattr(loop, "training_step", step)


def saved(training: Training) -> list[str]:
    return sorted(path.name for path in training.folder.glob("checkpoints/step-*"))


@pytest.mark.thorough
@pytest.mark.parametrize("shape", ["latteclip", "two learners"])
@pytest.mark.parametrize(
    ("steps", "checkpoints"),
    [(2, []), (3, [3]), (4, [3]), (5, [3]), (6, [3, 6])],
)
def test_resume_from_a_checkpoint_by_time_gives_identical_bits_and_metrics(
    make: Make, monkeypatch: pytest.MonkeyPatch, shape: str, steps: int, checkpoints: list[int]
) -> None:
    def build(name: str) -> tuple[Training, Clock]:
        if shape == "latteclip":
            return make(name)
        labelers = [AgreementLabeler(NoOptions(), CONTEXT)]
        return make(name, parts=reclip_parts(), labelers=labelers, described=False)

    uninterrupted = run(build("whole")[0])
    stopped, clock = build("stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, clock, steps, len(stopped.learners))
        run(stopped)
    assert saved(stopped) == [f"step-{step:06d}" for step in checkpoints]
    logged = [row["step"] for row in metrics(stopped) if row["event"] == "step"]
    assert logged == list(range(1, max([*checkpoints[-1:], 4 * (steps >= 4)]) + 1))

    resumed, progress = build("stopped")[0], RecordedProgress()
    train(resumed, progress)
    continuing = [f"train: continuing after step {step} of 7" for step in checkpoints[-1:]]
    assert [line for line in progress.lines if "continuing" in line] == continuing
    assert_same_bits(outcome(uninterrupted), outcome(resumed))
    assert metrics(uninterrupted) == metrics(resumed)


@pytest.mark.parametrize(
    ("steps", "note"),
    [
        (2, "training starts from its beginning, and finished stages are reused"),
        (4, "training continues after step 3 of 7"),
    ],
)
def test_interruption_notes_where_training_continues(
    make: Make, monkeypatch: pytest.MonkeyPatch, steps: int, note: str
) -> None:
    training, clock = make("stopped")
    interrupt_after(monkeypatch, clock, steps)
    with pytest.raises(KeyboardInterrupt) as stopped:
        run(training)
    assert stopped.value.__notes__ == [note]


def test_saving_takes_at_most_a_twentieth_of_the_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, clock = make("slow")

    def save(*ignored: Any) -> None:
        clock.now += 30.0

    monkeypatch.setattr(checkpoint, "save_and_broadcast", save)
    checkpoints = Checkpoints(training, 0)
    clock.now += 119.0
    assert not checkpoints.is_due(1)
    clock.now += 1.0
    assert checkpoints.is_due(1)
    checkpoints.save(1)
    clock.now += 599.0
    assert not checkpoints.is_due(2)
    clock.now += 1.0
    assert checkpoints.is_due(2)


def test_several_processes_save_checkpoints_by_steps_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their clocks differ, and a process that saves alone would wait for the others forever."""
    training, clock = make("together")
    monkeypatch.setattr("latte.distributed.world_size", lambda: 2)
    checkpoints = Checkpoints(training, 0)
    clock.now += 10_000.0
    assert [step for step in range(1, 8) if checkpoints.is_due(step)] == [7]
