"""Time and FLOPs are measured per part, only within `measuring`, without changing a bit."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from latte.components.latteclip import ContrastiveLoss
from latte.interfaces import NoOptions
from latte.train import timing
from latte.train.timing import (
    BACKWARD,
    CHECKPOINTS,
    IMAGES,
    LABELS,
    LOSS,
    OPTIMISER,
    PARTS,
    PROTOTYPES,
    TEXTS,
    WAITING,
    Stopwatch,
    count_flops,
    measuring,
    timed,
    timed_items,
    timed_step,
)
from latte.train.training import Training
from tests.helpers.clock import Clock
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import latteclip_part
from tests.helpers.training_runs import assert_same_bits, metrics, outcome, run

pytestmark = pytest.mark.thorough


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock)
    return clock


def one_step(clock: Clock, seconds: float) -> None:
    def items() -> Iterator[int]:
        clock.now += seconds
        yield 1

    for _ in timed_items(WAITING, items()):
        with timed_step(8):
            clock.now += 2 * seconds
            with timed(TEXTS):
                clock.now += 3 * seconds
            clock.now += seconds


def test_inner_part_is_not_counted_in_the_outer_one(clock: Clock) -> None:
    watch = Stopwatch("cpu")
    with measuring(watch):
        for seconds in (100, 1, 1):
            one_step(clock, seconds)
        with timed(CHECKPOINTS):
            clock.now += 7
    assert watch.measured.steps == 2
    assert watch.measured.images == 16
    assert watch.measured.seconds == {WAITING: 2, LABELS: 6, TEXTS: 6}
    assert watch.looked_into.seconds == {WAITING: 100, LABELS: 300, TEXTS: 300}
    assert watch.beside[CHECKPOINTS] == 7


def test_no_time_is_recorded_outside_of_measuring(clock: Clock) -> None:
    watch = Stopwatch("cpu")
    one_step(clock, 1)
    with measuring(watch):
        pass
    assert watch.steps == 0
    assert timed(TEXTS) is timed(BACKWARD)


def test_flops_are_counted_per_part() -> None:
    watch, matrix = Stopwatch("cpu"), torch.ones(10, 10, requires_grad=True)
    with measuring(watch):
        for _ in range(2):
            with timed_step(1):
                with timed(IMAGES):
                    product = matrix @ torch.ones(10, 10)
                with timed(BACKWARD):
                    product.sum().backward()  # type: ignore[no-untyped-call]
    assert watch.flops[IMAGES] == 2000
    assert watch.flops[BACKWARD] == 2000


def test_measured_training_gives_identical_bits(
    make: Callable[..., Training], tmp_path: Path
) -> None:
    plain = run(make("plain"))
    watch = Stopwatch("cpu", tmp_path / "trace.json.gz")
    with measuring(watch):
        watched = run(make("measured"))
    assert_same_bits(outcome(plain), outcome(watched))
    assert metrics(plain) == metrics(watched)
    assert (watch.looked_into.steps, watch.measured.steps) == (3, 4)
    assert set(watch.measured.seconds) == set(PARTS)
    assert all(watch.flops[part] for part in (IMAGES, TEXTS, BACKWARD))
    assert not watch.flops[OPTIMISER]
    trace = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    assert trace["traceEvents"]


@pytest.mark.parametrize("method", ["supervise", "update"])
def test_slow_aggregator_counts_as_prototypes(make: Callable[..., Training], method: str) -> None:
    training = make()
    component = training.learners[0].aggregator
    quick = getattr(component, method)

    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        return quick(*arguments)

    setattr(component, method, slow)
    watch = Stopwatch("cpu")
    with measuring(watch):
        run(training)
    assert watch.measured.seconds[PROTOTYPES] >= 0.05 * watch.measured.steps


def test_slow_loss_counts_as_loss(make: Callable[..., Training]) -> None:
    class Slow(ContrastiveLoss):
        def __call__(self, *arguments: Any) -> Any:
            time.sleep(0.05)
            return super().__call__(*arguments)

    loss = Slow(NoOptions(), CONTEXT)
    training = make(parts=[replace(latteclip_part(), loss=loss)])
    watch = Stopwatch("cpu")
    with measuring(watch):
        run(training)
    assert watch.measured.seconds[LOSS] >= 0.05 * watch.measured.steps


def test_trace_is_written_if_training_ends_early(tmp_path: Path) -> None:
    trace = tmp_path / "folder" / "trace.json"
    with measuring(Stopwatch("cpu", trace)):
        for _ in range(2):
            with timed_step(1):
                pass
    assert trace.exists()


def counted(groups: int, *, input_too: bool) -> int:
    convolution = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    images = torch.ones(2, 8, 5, 5, requires_grad=input_too)
    with count_flops() as counter:
        convolution(images).sum().backward()
    return counter.get_total_flops()


def test_flops_of_convolution_gradients() -> None:
    for groups in (1, 2, 8):
        forward = 2 * 2 * 25 * 8 * (8 // groups) * 9
        assert counted(groups, input_too=False) == 2 * forward
        assert counted(groups, input_too=True) == 3 * forward
