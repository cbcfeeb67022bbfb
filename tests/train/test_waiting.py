"""Training says that it waits for views only if it does, and names what makes views faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from latte.data import view_speed
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from latte.train import loop, waiting
from latte.train.loop import train
from latte.train.training import Training
from latte.train.waiting import Waiting
from tests.helpers.clock import Clock
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_engine import SETTINGS, with_settings

FORMAT = PixelFormat(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def advice(clock: Clock, making: float, using: float, epochs: int, augment: Any) -> str | None:
    """Train for epochs of ten batches; return the advice."""
    waits = Waiting(TrainingView(FORMAT, augment, seed=0), clock)

    def batches() -> Iterator[int]:
        for number in range(10):
            clock.now += making
            yield number

    for _ in range(epochs):
        for _ in waits.measured(batches()):
            clock.now += using
    sentence = waits.advice()
    assert waits.advice() is None, "the advice is given once"
    return sentence


@pytest.mark.parametrize(
    ("making", "using", "epochs"),
    [(0.1, 1.0, 20), (9.0, 1.0, 1), (0.1, 0.1, 5)],
    ids=["a step takes longer", "images are decoded in the first epoch", "waits are short"],
)
def test_no_advice_unless_views_hold_training_up(making: float, using: float, epochs: int) -> None:
    assert advice(Clock(), making, using, epochs, AugmentSettings()) is None


@pytest.mark.parametrize(
    ("compiled", "remedy"), [(None, "`pip install latte-views`"), (object(), "more CPU cores")]
)
def test_advice_names_the_share_and_the_remedy(
    compiled: object, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_speed, "compiled_views", lambda: compiled)
    line = advice(Clock(), 3.0, 1.0, 2, AugmentSettings())
    assert line is not None
    assert line.startswith("75% of the time of steps is spent waiting for views")
    assert remedy in line


def test_advice_names_no_package_for_views_of_a_component() -> None:
    line = advice(Clock(), 3.0, 1.0, 2, None)
    assert line is not None
    assert line.endswith("waiting for views")


def test_training_reports_the_wait_for_its_views(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    training_batches = loop.training_batches

    def slow(*arguments: Any) -> Generator[Any, None, None]:
        for batch in training_batches(*arguments):
            time.sleep(0.2)
            yield batch

    monkeypatch.setattr(loop, "training_batches", slow)
    monkeypatch.setattr(waiting, "_MANY_SECONDS", 0.1)
    progress = RecordedProgress()
    train(make(settings=with_settings(SETTINGS, max_steps=12)), progress)
    waits = [line for line in progress.lines if "waiting for views" in line]
    assert len(waits) == 1
    assert waits[0].startswith("train: ")
