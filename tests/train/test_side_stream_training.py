"""Trainings whose views are made on a side stream: order of the work, bits, and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.data.device_crops import ResidentImages
from latte.data.device_views import DeviceViews
from latte.interfaces import LatteError
from latte.train import loop, micro_batch
from latte.train.micro_batch import LargestStep
from latte.train.training import Training
from tests.helpers.recorded_streams import RecordedStreams
from tests.helpers.training_engine import SETTINGS, with_settings
from tests.helpers.training_runs import assert_same_bits, metrics, outcome, run

pytestmark = pytest.mark.thorough

STEPS = 7


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> RecordedStreams:
    return RecordedStreams(monkeypatch)


def with_device_views(training: Training, streams: RecordedStreams | None) -> Training:
    pixels = [torch.tensor(training.images.pixels(n)) for n in range(len(training.images))]
    side = None if streams is None else streams.side
    views = DeviceViews(training.view, ResidentImages.of(pixels), side)
    return replace(training, device_views=views)


def record(streams: RecordedStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launch recorded work when views are made, when a step is taken, and in an evaluation."""
    make, step, end = DeviceViews._views, loop._step, loop._end_epoch
    made: list[Tensor] = []

    def views(*given: Any) -> Tensor:
        streams.launch(f"views {len(made)}")
        made.append(make(*given))
        return made[-1]

    def steps(training: Training, indices: Tensor, pixels: Tensor, epoch: int, number: int) -> Any:
        streams.launch(f"step {number}")
        assert pixels is made[number]
        return step(training, indices, pixels, epoch, number)

    def epochs(training: Training, number: int, epoch: int, log: Any) -> None:
        streams.launch(f"evaluation {epoch}")
        end(training, number, epoch, log)

    monkeypatch.setattr(DeviceViews, "_views", views)
    monkeypatch.setattr(loop, "_step", steps)
    monkeypatch.setattr(loop, "_end_epoch", epochs)


def test_steps_and_evaluations_of_all_epochs_are_in_order(
    make: Callable[..., Training], streams: RecordedStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(streams, monkeypatch)
    training = with_device_views(make(), streams)
    run(training)
    before, per_epoch = streams.before, training.steps_per_epoch
    assert training.total_steps == STEPS
    assert 1 < per_epoch < STEPS
    assert sum(work.startswith("views") for work in before) == STEPS
    for number in range(STEPS):
        assert f"views {number}" in before[f"step {number}"]
        overlaps = number % per_epoch != 0
        assert (f"step {number - 1}" in before[f"views {number}"]) == (number > 0 and not overlaps)
        assert {f"step {one}" for one in range(number - 1)} <= before[f"views {number}"]
    # No views of the next epoch are made before the evaluation of this one.
    first = f"views {per_epoch}"
    assert "evaluation 0" in before[first]
    assert {f"views {number}" for number in range(per_epoch)} <= before["evaluation 0"]


@pytest.mark.parametrize("micro", [None, 2])
def test_training_has_the_bits_of_views_made_when_due(
    make: Callable[..., Training], streams: RecordedStreams, micro: int | None
) -> None:
    settings = with_settings(SETTINGS, micro_batch_size=micro)
    due = run(with_device_views(make("due", settings=settings), None))
    ahead = run(with_device_views(make("ahead", settings=settings), streams))
    assert_same_bits(outcome(ahead), outcome(due))
    assert metrics(ahead) == metrics(due)


def test_resumed_training_has_the_bits_of_an_uninterrupted_one(
    make: Callable[..., Training], streams: RecordedStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(with_device_views(make("whole"), streams))
    step = loop._step

    def stop(*given: Any) -> Any:
        if given[-1] == 5:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(loop, "_step", stop)
    with pytest.raises(KeyboardInterrupt):
        run(with_device_views(make("stopped"), streams))
    monkeypatch.setattr(loop, "_step", step)
    resumed = run(with_device_views(make("stopped"), streams))
    assert_same_bits(outcome(resumed), outcome(whole))


def test_out_of_memory_in_views_made_ahead_is_raised_after_the_step_before(
    make: Callable[..., Training], streams: RecordedStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(streams, monkeypatch)
    views = DeviceViews._views

    def full(*given: Any) -> Tensor:
        if "views 1" in streams.before:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return views(*given)

    monkeypatch.setattr(DeviceViews, "_views", full)
    with pytest.raises(LatteError, match="does not hold a step on 4 images"):
        run(with_device_views(make(), streams))
    assert [*streams.before] == ["views 0", "views 1", "step 0", "step 1"]


def test_search_for_a_micro_batch_holds_memory_that_only_views_can_use(
    make: Callable[..., Training], streams: RecordedStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch keeps 5,000 bytes, of which the last views take 2,000 and passes get none."""
    auto = with_settings(SETTINGS, batch_size=15, max_steps=1, micro_batch_size="auto")
    training = with_device_views(make(settings=auto), streams)
    (learner,) = training.learners
    calls: list[str] = []
    make_views, empty = DeviceViews._views, torch.empty

    def views(*given: Any) -> Tensor:
        calls.append("views")
        return make_views(*given)

    def recorded(*size: Any, **options: Any) -> Tensor:
        if options.get("dtype") is torch.uint8:
            calls.append(f"hold {size[0]}")
        return empty(*size, **options)

    def one_pass(learner: Any, one: LargestStep, pixels: Tensor) -> int:
        calls.append(f"pass of {len(pixels)}")
        return 0

    card = SimpleNamespace(total_memory=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2000)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("give back"))
    monkeypatch.setattr(torch, "empty", recorded)
    monkeypatch.setattr(DeviceViews, "_views", views)
    monkeypatch.setattr(micro_batch, "activation_bytes", one_pass)
    monkeypatch.setattr(micro_batch, "_state_bytes", lambda learner: 100)
    largest = micro_batch.largest_step(training, learner)
    assert micro_batch._fits_on_gpu(training, learner, largest, None)
    made = ["give back", *["views"] * 3, "give back"]
    assert calls == ["hold 100", *made, "hold 3000", "pass of 15", "give back"]


def test_search_holds_no_more_memory_without_a_side_stream(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    views = with_device_views(make(), None).device_views
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5000)
    assert views is not None
    assert views.bytes_beside_steps() == 0
