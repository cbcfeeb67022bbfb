"""Crop and resize many images of different sizes together, on the device that stores them.

Resizing is bicubic with antialiasing, as in Pillow: along rows, then along columns, rounded after
each step. Some versions of Pillow resize tall crops in the other order, which can change the last
bit. If such a version is installed, this module does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy
import torch
from torch import Tensor

from latte.data.augmentation import Box, pillow_resizes_tall_crops_first

_BYTES_PER_PIXEL = 18
"""Bytes per pixel of a crop: 3 in 8 bits, 3 for a copy with channels first, 12 in fp32."""


@dataclass(frozen=True)
class ResidentImages:
    """Pixels of N images in one tensor on a device, one image after the other."""

    pixels: Tensor
    """(3 P,) uint8: all images, then zeros, so that every padded crop ends within the tensor."""
    starts: Sequence[int]
    """Number of pixels before each image."""
    sizes: Sequence[tuple[int, int]]
    """Height and width of each image."""

    @classmethod
    def of(cls, images: Sequence[Tensor]) -> ResidentImages:
        """Join images (H, W, 3) uint8, which are on one device."""
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        counts = [height * width for height, width in sizes]
        longest = max(max(size) for size in sizes)
        rest = images[0].new_zeros(3 * longest * (longest + 1))
        pixels = torch.cat([*(image.reshape(-1) for image in images), rest])
        return cls(pixels, list(accumulate(counts[:-1], initial=0)), sizes)

    def __len__(self) -> int:
        """Number N of images."""
        return len(self.starts)


@dataclass(frozen=True)
class CropPass:
    """Plan of crops that are padded to the same square size and resized together (a pass)."""

    rows: Sequence[int]
    """Indices of the crops in their batch; tall crops come last."""
    tall: int
    """Number of tall crops, which are resized along columns first."""
    side: int
    taps: int
    """Largest number of pixels that a resized pixel depends on, along one axis."""
    tensors: Mapping[str, Tensor]
    """All numbers that the device needs, in one tensor, so that one copy transfers all of them."""


def plan_crops(
    images: ResidentImages, indices: Sequence[int], boxes: Sequence[Box], size: int, most_bytes: int
) -> list[CropPass]:
    """Plan to crop the images `indices` to `boxes`, and to resize the crops to `size`.

    Crops of similar size are resized together, in a pass. A pass takes at most `most_bytes` of
    memory, unless it has a single crop.
    """
    tall_first = pillow_resizes_tall_crops_first()
    tall = [
        tall_first and height > size and height - size > 2 * (width - size)
        for *_, width, height in boxes
    ]
    order = sorted(range(len(boxes)), key=lambda row: max(boxes[row][2:]))
    parts = (sorted(one, key=tall.__getitem__) for one in _parts(order, boxes, size, most_bytes))
    return [_plan(images, indices, boxes, rows, tall, size) for rows in parts]


def resized_crops(
    images: ResidentImages, one: CropPass, tensors: Mapping[str, Tensor], size: int
) -> Tensor:
    """Crop and resize B crops together: (B, 3, size, size), whole numbers from 0 to 255.

    `one` is the plan of these crops; `tensors` are its tensors, on the device.
    """
    count, side, wide = len(one.rows), one.side, len(one.rows) - one.tall
    start, stride = tensors["start"][:, None], tensors["stride"][:, None]
    first = torch.addcmul(start, stride, tensors["lines"])
    windows = (len(images.pixels) // 3 - side, 3 * side)
    found = images.pixels.as_strided(windows, (3, 1)).index_select(0, first.reshape(-1))
    found = found.view(count, side, side, 3)
    turned = [found[:wide].permute(0, 1, 3, 2), found[wide:].permute(0, 2, 3, 1)]
    crops = torch.cat(turned).float().view(count, 3 * side, side)
    across, down = _weights(one, tensors, size)
    half = tensors["half"]
    resized = torch.baddbmm(half, crops, across.mT).floor_().clamp_(0, 255)
    resized = torch.baddbmm(half, down, resized.view(count, side, 3 * size)).floor_().clamp_(0, 255)
    views = resized.view(count, size, 3, size)
    return torch.cat([views[:wide].permute(0, 2, 1, 3), views[wide:].permute(0, 2, 3, 1)])


def _parts(
    order: Sequence[int], boxes: Sequence[Box], size: int, most_bytes: int
) -> Iterator[list[int]]:
    """Split `order` (crops, sorted by longer side) into parts of at most `most_bytes` of memory.

    A part of a single crop may take more.
    """
    part: list[int] = []
    for row in order:
        side = max(boxes[row][2:])
        if part and (len(part) + 1) * _bytes(side, size) > most_bytes:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _bytes(side: int, size: int) -> int:
    """Return how many bytes it takes to resize a crop with the longer side `side` to `size`."""
    weights = 2 * 4 * size * side
    taps = 2 * 5 * 8 * size * _most_taps(side, size)
    return _BYTES_PER_PIXEL * side * side + 12 * size * side + weights + taps


def _most_taps(length: int, size: int) -> int:
    return int(4 * max(length / size, 1.0)) + 2


def _plan(
    images: ResidentImages,
    indices: Sequence[int],
    boxes: Sequence[Box],
    rows: Sequence[int],
    tall: Sequence[bool],
    size: int,
) -> CropPass:
    chosen = [boxes[row] for row in rows]
    widths = [images.sizes[indices[row]][1] for row in rows]
    starts = [
        images.starts[indices[row]] + box[1] * width + box[0]
        for row, box, width in zip(rows, chosen, widths, strict=True)
    ]
    turned = [box[:1:-1] if tall[row] else box[2:] for row, box in zip(rows, chosen, strict=True)]
    lengths = numpy.array([across for across, _ in turned] + [down for _, down in turned])
    side = int(lengths.max())
    taps = _most_taps(side, size)
    tensors = {
        "start": torch.tensor(starts),
        "stride": torch.tensor(widths),
        "lines": torch.arange(side),
        "taps": torch.arange(taps),
        "half": torch.full((1, 1, 1), 0.5),
        **_taps(lengths, size),
    }
    return CropPass(rows, sum(tall[row] for row in rows), side, taps, tensors)


def _taps(lengths: numpy.typing.NDArray[numpy.int64], size: int) -> dict[str, Tensor]:
    """Return the taps (source pixels) of each resized pixel, if M rows are resized to `size`.

    `lengths` (M,) are the rows' lengths. `first` (M, size, 1) is the index of the first tap.
    `there` (M, size, 1) is the number of pixels from the first tap to the end of the row.
    `distance` (M, size, 1) is the position of the first tap relative to the centre of the resized
    pixel, and `step` (M, 1, 1) the distance between adjacent taps. Both are scaled for `_cubic`.
    """
    scale = (lengths / size)[:, None]
    wider = numpy.maximum(scale, 1.0)
    centre = (numpy.arange(size) + 0.5) * scale
    first = numpy.trunc(centre - 2 * wider + 0.5).clip(min=0)
    numbers = {
        "distance": ((first + 0.5 - centre) / wider)[:, :, None],
        "step": (1 / wider)[:, :, None],
        "first": first.astype(numpy.int64)[:, :, None],
        "there": (lengths[:, None] - first).astype(numpy.int64)[:, :, None],
    }
    return {name: torch.from_numpy(value) for name, value in numbers.items()}


def _weights(one: CropPass, tensors: Mapping[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Return the resizing weights (B, size, side) along both axes; 0 after the end of a row.

    As in Pillow, weights are values of Keys' cubic kernel, divided by their sum. The kernel is
    widened if a row shrinks, and cut off at the ends of the row.
    """
    taps = tensors["taps"]
    weights = _cubic(torch.addcmul(tensors["distance"], tensors["step"], taps))
    weights = weights * (taps < tensors["there"])
    weights = (weights / weights.sum(dim=-1, keepdim=True)).float()
    shape = 2 * len(one.rows), size, one.side + one.taps
    dense = torch.zeros(shape, device=weights.device).scatter_(2, tensors["first"] + taps, weights)
    across, down = dense[:, :, : one.side].chunk(2)
    return across, down


def _cubic(x: Tensor) -> Tensor:
    """Return the value of Keys' cubic kernel (Keys 1981, a = -0.5) at `x`.

    With u = max(2 - |x|, 0) and v = max(1 - |x|, 0), it is 0.5 u²(u - 1) + v²(1 - 2v).
    """
    u = (2 - x.abs()).relu_()
    before = u - 1
    v = before.relu()
    return torch.add(v * v * torch.rsub(v, 1, alpha=2), u * u * before, alpha=0.5)
