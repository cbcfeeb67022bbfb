"""Image batches of an epoch; their pixels are prepared while the previous step runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from functools import partial

import numpy
import torch
from torch import Tensor

from latte.data.cache import ImageCache
from latte.data.prefetch import BATCHES_AHEAD, image_threads, ordered_map, to_device
from latte.data.views import TrainingView, normalise
from latte.interfaces import PixelFormat
from latte.toolkit.seeds import seed_from


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Shuffle the indices 0 to n - 1 and split them into ceil(n / batch_size) batches.

    The order depends on `seed` and `epoch` alone. Batches are (B,) int64 with sizes that differ by
    at most 1, because a tiny last batch would have hardly any negatives for a contrastive loss.
    """
    if n == 0:
        return []
    generator = torch.Generator().manual_seed(seed_from("batches", seed, epoch))
    order = torch.randperm(n, generator=generator)
    return list(order.tensor_split(math.ceil(n / batch_size)))


def evaluation_batches(
    cache: ImageCache,
    pixel_format: PixelFormat,
    batch_size: int,
    only: Sequence[int] | None = None,
    device: torch.device | None = None,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield every image once, in order: indices (B,) int64 and pixels (B, 3, S, S) float32.

    With `only`, yield the images with these indices. With `device`, pixels are on this device: they
    are copied in 8 bits, which takes a quarter of the time.
    """
    away = None if device is None or device.type == "cpu" else device

    def build(images: Executor, indices: list[int]) -> Tensor:
        view = partial(cache.evaluation_pixels, pixel_format=pixel_format)
        pixels = torch.from_numpy(numpy.stack(list(images.map(view, indices))))
        return normalise(pixels, pixel_format) if away is None else pixels

    chosen = range(len(cache)) if only is None else only
    indices = torch.tensor(chosen, dtype=torch.int64)
    batches = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    built = _prefetched(batches, build, cache)
    return built if away is None else _normalised_on(away, built, pixel_format)


def _normalised_on(
    device: torch.device,
    batches: Generator[tuple[Tensor, Tensor], None, None],
    pixel_format: PixelFormat,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    with closing(batches):
        for indices, pixels in batches:
            yield indices, normalise(to_device(pixels, device), pixel_format)


def training_batches(
    cache: ImageCache, view: TrainingView, batches: Sequence[Tensor], epoch: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield `batches` in order: indices (B,) int64 and random views (B, 3, S, S) float32."""

    def write(index: int, out: Tensor) -> None:
        view.write(cache.pixels(index), index, epoch, out)

    def build(images: Executor, indices: list[int]) -> Tensor:
        size = view.pixel_format.size
        pixels = torch.empty(len(indices), 3, size, size)
        for _ in images.map(write, indices, pixels):
            pass
        return pixels

    return _prefetched(batches, build, cache)


def _prefetched(
    batches: Sequence[Tensor], build: Callable[[Executor, list[int]], Tensor], cache: ImageCache
) -> Generator[tuple[Tensor, Tensor], None, None]:
    threads = image_threads(alone=torch.cuda.is_available())
    images = ThreadPoolExecutor(threads, thread_name_prefix="latte-images")

    def one(indices: Tensor) -> tuple[Tensor, Tensor]:
        return indices, build(images, indices.tolist())

    built = ordered_map(one, batches, threads=1, ahead=BATCHES_AHEAD)
    try:
        for batch in built:  # noqa: UP028 - `yield from` would close `built` first, and wait
            yield batch
    finally:
        # Cancel pending images first, so that the unfinished batch ends at once.
        images.shutdown(wait=True, cancel_futures=True)
        built.close()
        cache.flush()
