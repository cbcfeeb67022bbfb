"""Batches of an epoch, and their pixels prepared while the step before them runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from latte.data.cache import ImageCache
from latte.data.prefetch import image_threads, ordered_map
from latte.data.seeds import seed_from
from latte.data.views import TrainingView, evaluation_pixels, normalise
from latte.interfaces import PixelFormat

_BATCHES_AHEAD = 2


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Every index below `n` once, shuffled by (seed, epoch), in ceil(n / batch_size) batches.

    Batches are (B,) int64 with sizes that differ by at most 1: a tiny last batch would have
    hardly any negatives to contrast with.
    """
    if n == 0:
        return []
    generator = torch.Generator().manual_seed(seed_from("batches", seed, epoch))
    order = torch.randperm(n, generator=generator)
    return list(order.tensor_split(math.ceil(n / batch_size)))


def evaluation_batches(
    cache: ImageCache, pixel_format: PixelFormat, batch_size: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Every image once, in order: indices (B,) int64 and pixels (B, 3, S, S) float32."""

    def view(index: int) -> Tensor:
        return evaluation_pixels(cache.get(index), pixel_format)

    indices = torch.arange(len(cache))
    batches = [indices[i : i + batch_size] for i in range(0, len(cache), batch_size)]
    return _prefetched(batches, view, pixel_format)


def training_batches(
    cache: ImageCache, view: TrainingView, batches: Sequence[Tensor], epoch: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """`batches` in their order: indices (B,) int64 and random views (B, 3, S, S) float32."""

    def random_view(index: int) -> Tensor:
        return view.pixels(cache.get(index), index, epoch)

    return _prefetched(batches, random_view, view.pixel_format)


def _prefetched(
    batches: Sequence[Tensor], view: Callable[[int], Tensor], pixel_format: PixelFormat
) -> Generator[tuple[Tensor, Tensor], None, None]:
    images = ThreadPoolExecutor(image_threads(), thread_name_prefix="latte-images")

    def build(indices: Tensor) -> tuple[Tensor, Tensor]:
        pixels = torch.stack(list(images.map(view, indices.tolist())))
        return indices, normalise(pixels, pixel_format)

    built = ordered_map(build, batches, threads=1, ahead=_BATCHES_AHEAD)
    try:
        for batch in built:  # noqa: UP028 - `yield from` would close `built` first, and wait
            yield batch
    finally:
        # Without images to wait for, the batch that is being built ends at once.
        images.shutdown(wait=True, cancel_futures=True)
        built.close()
