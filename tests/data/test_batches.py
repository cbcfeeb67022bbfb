from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from latte.data.batches import epoch_batches, evaluation_batches, training_batches
from latte.data.cache import ImageCache
from latte.data.images import UnreadableImageError
from latte.data.prefetch import image_threads
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from tests.helpers.evaluated import evaluation_view
from tests.helpers.pictures import picture, references

FORMAT = PixelFormat(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
VIEW = TrainingView(FORMAT, AugmentSettings(), seed=3)


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(references(tmp_path, 11))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith("latte-images")]


@given(st.integers(0, 300), st.integers(1, 70), st.integers(0, 2**31), st.integers(0, 50))
def test_epoch_batches_hold_every_image_once_in_even_sizes(
    n: int, batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(n, batch_size, seed, epoch)
    assert len(batches) == math.ceil(n / batch_size)
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(n))
    sizes = {len(batch) for batch in batches}
    assert all(size <= batch_size for size in sizes)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_no_batch_is_tiny() -> None:
    assert [len(batch) for batch in epoch_batches(513, 512, 0, 0)] == [257, 256]


def order(n: int, seed: int, epoch: int) -> list[int]:
    return torch.cat(epoch_batches(n, 7, seed, epoch)).tolist()


def test_epoch_order_depends_on_seed_and_epoch_alone() -> None:
    torch.manual_seed(1)
    epoch_order = order(50, 0, 0)
    torch.manual_seed(2)
    assert order(50, 0, 0) == epoch_order
    assert len({tuple(order(50, seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert epoch_order != list(range(50))


def test_evaluation_batches_hold_every_image_once_in_order(cache: ImageCache) -> None:
    batches = list(evaluation_batches(cache, FORMAT, 4))
    assert [indices.tolist() for indices, _ in batches] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
    ]
    pixels = torch.cat([pixels for _, pixels in batches])
    expected = torch.stack([evaluation_view(picture(i), FORMAT) for i in range(11)])
    assert torch.equal(pixels, expected)
    assert all(pixels.is_contiguous() for _, pixels in batches)


def test_no_evaluation_images_give_no_batches() -> None:
    assert list(evaluation_batches(ImageCache([]), FORMAT, 4)) == []


def test_training_batches_hold_the_views_of_the_epoch(cache: ImageCache) -> None:
    batches = epoch_batches(11, 4, seed=0, epoch=5)
    shown = list(training_batches(cache, VIEW, batches, epoch=5))
    assert [indices.tolist() for indices, _ in shown] == [batch.tolist() for batch in batches]
    for indices, pixels in shown:
        expected = [VIEW(picture(i), i, 5) for i in indices.tolist()]
        assert torch.equal(pixels, torch.stack(expected))


def test_training_batches_are_the_same_after_resuming(cache: ImageCache) -> None:
    batches = epoch_batches(11, 3, seed=0, epoch=1)
    batches_of_epoch = list(training_batches(cache, VIEW, batches, epoch=1))
    batches_resumed = list(training_batches(cache, VIEW, batches[2:], epoch=1))
    assert len(batches_resumed) == 2
    assert all(
        torch.equal(a[1], b[1]) for a, b in zip(batches_of_epoch[2:], batches_resumed, strict=True)
    )


def test_unreadable_image_raises_in_its_batch(tmp_path: Path) -> None:
    images = references(tmp_path, 8)
    images[5].path.write_bytes(b"")
    stream = evaluation_batches(ImageCache(images), FORMAT, 2)
    assert [next(stream)[0].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(UnreadableImageError, match=r"^005\.png: the file is empty"):
        next(stream)


class SlowCache(ImageCache):
    """A slow cache that records which images are requested."""

    def __init__(self, count: int) -> None:
        super().__init__([])
        self._count = count
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self._count

    def get(self, index: int) -> Image.Image:
        self.asked.append(index)
        time.sleep(0.01)
        return picture(width=16, height=16)


def test_closing_batches_early_does_not_wait() -> None:
    batches = [torch.tensor([0]), torch.arange(5000)]
    cache = SlowCache(5000)
    stream = training_batches(cache, VIEW, batches, epoch=0)
    next(stream)
    stream.close()
    assert len(cache.asked) < 2500, "most of the second batch is left undone"


def test_few_batches_are_prefetched() -> None:
    cache = SlowCache(1000)
    stream = evaluation_batches(cache, FORMAT, 5)
    next(stream)
    time.sleep(0.3)
    assert 5 <= len(cache.asked) <= 20
    stream.close()


def test_batches_can_be_closed_before_the_first() -> None:
    evaluation_batches(SlowCache(10), FORMAT, 5).close()


@pytest.mark.parametrize(("processes", "threads"), [("", 16), ("1", 16), ("8", 8), ("64", 2)])
def test_processes_of_a_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, processes: str, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert image_threads(alone=True) == threads
