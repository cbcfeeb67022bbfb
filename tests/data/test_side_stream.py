"""Results are made on a side stream, one ahead, and every use waits for what it needs."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.data.device_crops import ResidentImages
from latte.data.device_views import DeviceViews
from latte.data.side_stream import side_stream
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from tests.helpers.recorded_streams import RecordedStreams

COUNT = 5


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> RecordedStreams:
    return RecordedStreams(monkeypatch)


def steps(streams: RecordedStreams, fails: int | None = None) -> Iterator[int]:
    """Use each result in a step; making the result `fails` raises an error."""

    def make(number: int) -> int:
        if number == fails:
            raise RuntimeError(f"no result {number}")
        streams.launch(f"views {number}")
        return number

    for number in streams.side.made_ahead(make, range(COUNT)):
        streams.launch(f"step {number}")
        yield number


def test_each_step_waits_for_its_views(streams: RecordedStreams) -> None:
    assert list(steps(streams)) == [*range(COUNT)]
    for number in range(COUNT):
        assert f"views {number}" in streams.before[f"step {number}"]


def test_views_are_launched_before_the_step_that_they_overlap(streams: RecordedStreams) -> None:
    list(steps(streams))
    for number in range(COUNT - 1):
        step, views = f"step {number}", f"views {number + 1}"
        assert [*streams.before].index(views) < [*streams.before].index(step)
        assert step not in streams.before[views]
        assert views not in streams.before[step]


def test_side_stream_is_one_batch_ahead_and_reuses_no_memory_in_use(
    streams: RecordedStreams,
) -> None:
    """Python frees a batch after its step, so later views may get its memory."""
    list(steps(streams))
    for number in range(2, COUNT):
        earlier = {f"step {before}" for before in range(number - 1)}
        assert earlier <= streams.before[f"views {number}"]


def test_views_wait_for_work_before_the_epoch(streams: RecordedStreams) -> None:
    """Images and tables of hues are written on the main stream."""
    streams.launch("images")
    list(steps(streams))
    assert "images" in streams.before["views 0"]


@pytest.mark.parametrize("used", [1, 3, COUNT])
def test_work_after_the_end_waits_for_views_that_no_step_used(
    streams: RecordedStreams, used: int
) -> None:
    made = streams.side.made_ahead(lambda number: streams.launch(f"views {number}"), range(COUNT))
    for _ in range(used):
        next(made)
    made.close()
    streams.launch("evaluation")
    launched = {work for work in streams.before if work.startswith("views")}
    assert len(launched) == min(used + 1, COUNT)
    assert launched <= streams.before["evaluation"]


@pytest.mark.parametrize("fails", [0, 1, COUNT - 1])
def test_error_in_a_result_is_raised_when_the_result_is_due(
    streams: RecordedStreams, fails: int
) -> None:
    made = steps(streams, fails)
    assert [next(made) for _ in range(fails)] == [*range(fails)]
    with pytest.raises(RuntimeError, match=f"no result {fails}"):
        next(made)
    streams.launch("after")
    assert {f"views {number}" for number in range(fails)} <= streams.before["after"]


def test_error_in_the_items_is_raised_when_the_result_is_due(streams: RecordedStreams) -> None:
    def items() -> Iterator[int]:
        yield 0
        raise RuntimeError("no plan")

    made = streams.side.made_ahead(lambda number: number, items())
    assert next(made) == 0
    with pytest.raises(RuntimeError, match="no plan"):
        next(made)


def test_failed_result_leaves_no_tensors_in_memory(streams: RecordedStreams) -> None:
    tensors: list[weakref.ref[Tensor]] = []

    def make(number: int) -> int:
        crops = torch.zeros(3)
        tensors.append(weakref.ref(crops))
        if number:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return number

    made = streams.side.made_ahead(make, range(2))
    next(made)
    assert [one() for one in tensors] == [None, None]
    with pytest.raises(torch.OutOfMemoryError):
        next(made)


def test_at_most_three_results_are_in_memory(streams: RecordedStreams) -> None:
    tensors: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def make(number: int) -> Tensor:
        made = torch.zeros(3)
        tensors.append(weakref.ref(made))
        alive.append(sum(one() is not None for one in tensors))
        return made

    for _ in streams.side.made_ahead(make, range(COUNT)):
        pass
    assert alive == [1, 2, 3, 3, 3]


def test_no_items_give_no_results(streams: RecordedStreams) -> None:
    assert list(streams.side.made_ahead(lambda number: number, [])) == []


def test_only_cuda_devices_have_a_side_stream(streams: RecordedStreams) -> None:
    assert side_stream(torch.device("cpu")) is None
    assert side_stream(torch.device("cuda")) is not None


def test_views_on_a_side_stream_have_the_bits_of_views_made_when_due(
    streams: RecordedStreams,
) -> None:
    view = TrainingView(PixelFormat(32, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3)), AugmentSettings(), 0)
    generator = torch.Generator().manual_seed(0)
    images = ResidentImages.of(
        [
            torch.randint(256, (40, 50 + n, 3), generator=generator, dtype=torch.uint8)
            for n in range(7)
        ]
    )
    batches = [torch.tensor(one) for one in ([3, 1, 0], [2, 6], [4, 5])]

    def made(**given: Any) -> list[tuple[Tensor, Tensor]]:
        return [*DeviceViews(view, images, **given).batches(batches, epoch=1)]

    for ahead, due in zip(made(side=streams.side), made(), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ahead, due, strict=True))
