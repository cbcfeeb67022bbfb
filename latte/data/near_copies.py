"""Near-copies: the same picture, cropped by a few percent, brightened, saved or scaled again.

Candidates are the nearest neighbours by features, and by the layout of the picture: features of
small or poorly saved copies can be far apart. A pair is confirmed by the pixels of two small
thumbnails: one is laid over the other at several scales and shifts, and what is left of both
without their smooth parts must agree. A mirrored picture is not a near-copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, normalize, pad, unfold

from latte.toolkit.neighbours import nearest_neighbours
from latte.toolkit.threads import parallel_map

SIDE = 32
"""Side of a thumbnail, which is square: a picture is stretched to it, as are its crops."""
NEIGHBOURS = 10
"""Number of nearest neighbours of each image, by features and by layouts each, that may be its
near-copies."""
LEAST_AGREEMENT = 0.66
"""Smallest agreement of near-copies; see `agreements`."""
_LEAST_ROUGH = 0.2
"""Smallest correlation at half the size, without scales, of pairs that are aligned at all."""
_MOST_APART, _HARDLY_APART = 0.42, 0.15
"""Largest distance of the layouts of near-copies, and the one above which their details must agree
the better. Regular patterns, and objects in the same pose, agree in their details alone."""
_COST = 0.5
"""Correlation that a distance of 1 between layouts costs."""
_LAYOUT = 4
"""Number of rows and of columns of a layout."""
_SCALES = (0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06)
_SHIFT = 2
"""Largest shift of a thumbnail, in pixels: 6 % of its side."""
_PARTS = (0.0, 1 / 3, 2 / 3)
"""Shifts of less than a pixel."""
_WINDOW = 5
"""Side of the square whose mean is taken from each pixel, so that only details are compared."""
_FAINT = 10.0
"""Contrast, in grey levels, below which details count less: it can be noise."""
_PLAIN = 3.0
"""Contrast of a picture's details, in grey levels, below which most of them can be noise."""
_SMOOTH, _WIDE_WINDOW = 3, 9
"""Side of the square whose mean smooths plain pictures, and the window for their details."""
_ROUGH_PAIRS, _FINE_PAIRS = 2048, 256
"""Numbers of pairs that a thread compares at once, and of pictures that are converted at once."""


@dataclass(frozen=True)
class Thumbnails:
    """Small pictures of N images."""

    grey: Tensor
    """(N, `SIDE`, `SIDE`) uint8."""
    layout: Tensor
    """(N, 48): red, green and blue in 4 x 4 parts of the picture, relative to its brightness."""

    @classmethod
    def of(cls, pictures: Iterator[NDArray[numpy.uint8]], count: int) -> Thumbnails:
        """Return the thumbnails of `count` images from `pictures` (`SIDE`, `SIDE`, 3) of each."""
        grey = torch.empty(count, SIDE, SIDE, dtype=torch.uint8)
        layout = torch.empty(count, 3 * _LAYOUT**2)
        for start in range(0, count, _ROUGH_PAIRS):
            block = slice(start, min(count, start + _ROUGH_PAIRS))
            block_pictures = [*islice(pictures, block.stop - start)]
            rgb = torch.from_numpy(numpy.stack(block_pictures)).float()
            grey[block] = (rgb @ _LUMA).round().to(torch.uint8)
            cells = avg_pool2d(rgb.permute(0, 3, 1, 2), SIDE // _LAYOUT) + _DARK
            layout[block] = (cells / cells.mean(dim=(1, 2, 3), keepdim=True)).flatten(1)
        return cls(grey, layout)

    @property
    def directions(self) -> Tensor:
        """Unit rows (N, 48) whose cosines say which layouts are alike."""
        return normalize(self.layout - 1, dim=1)


_LUMA = torch.tensor([0.299, 0.587, 0.114])
_DARK = 4.0
"""Brightness that is added to each part, so that noise in the dark does not count."""


def thumbnail(image: Image.Image) -> NDArray[numpy.uint8]:
    """Return the thumbnail (`SIDE`, `SIDE`, 3) of an RGB image."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=4)
    picture: NDArray[numpy.uint8] = numpy.asarray(small)
    return picture


def near_copy_pairs(
    features: Tensor, thumbnails: Thumbnails, advance: Callable[[int], object] | None = None
) -> Tensor:
    """Return the pairs (P, 2) int64 of near-copies among N images, sorted.

    Args:
        features: unit features (N, D).
        thumbnails: those of the same images.
        advance: called with numbers of images that have been compared, to show progress.
    """
    pairs = candidate_pairs(features, thumbnails, advance)
    near_copies: Tensor = pairs[are_near_copies(thumbnails, thumbnails, pairs)]
    return near_copies


def candidate_pairs(
    features: Tensor, thumbnails: Thumbnails, advance: Callable[[int], object] | None = None
) -> Tensor:
    """Return pairs (P, 2) of neighbours by features or by layouts; see `near_copy_pairs`."""
    neighbours = torch.cat(
        [
            nearest_neighbours(rows, NEIGHBOURS, advance=advance)[1]
            for rows in (features, thumbnails.directions)
        ],
        dim=1,
    )
    rows = torch.arange(len(features)).unsqueeze(1).expand_as(neighbours)
    pairs = torch.stack([rows.flatten(), neighbours.flatten()], dim=1).sort(dim=1).values
    sorted_pairs: Tensor = torch.unique(pairs, dim=0)
    return sorted_pairs


def are_near_copies(first: Thumbnails, second: Thumbnails, pairs: Tensor) -> Tensor:
    """Return which of the P pairs (row of `first`, row of `second`) show the same picture."""
    places = plausible_pairs(first, second, pairs)
    is_copy = torch.zeros(len(pairs), dtype=torch.bool)
    is_copy[places[agreements(first, second, pairs[places]) >= LEAST_AGREEMENT]] = True
    return is_copy


def plausible_pairs(first: Thumbnails, second: Thumbnails, pairs: Tensor) -> Tensor:
    """Return the places of pairs with about the same layout, whose details agree roughly."""
    places = (_distances(first, second, pairs) <= _MOST_APART).nonzero().flatten()
    correlations = _compared(_rough, first, second, pairs[places], _ROUGH_PAIRS)
    return places[correlations >= _LEAST_ROUGH]


def agreements(first: Thumbnails, second: Thumbnails, pairs: Tensor) -> Tensor:
    """Return how well pairs agree (P,): at most 1, for the same details and about the same layout.

    This is the largest correlation of their details over all scales and shifts, less the cost of
    layouts that differ more than those of most crops.
    """
    correlations = _compared(_fine, first, second, pairs, _FINE_PAIRS)
    return correlations - _COST * (_distances(first, second, pairs) - _HARDLY_APART).clamp_min(0)


def _distances(first: Thumbnails, second: Thumbnails, pairs: Tensor) -> Tensor:
    """Return the distance (P,) of the layouts of pairs; see `layout_distances`."""
    distances = [torch.zeros(0)]
    for start in range(0, len(pairs), _ROUGH_PAIRS):
        first_rows, second_rows = pairs[start : start + _ROUGH_PAIRS].unbind(dim=1)
        distances.append(layout_distances(first.layout[first_rows], second.layout[second_rows]))
    return torch.cat(distances)


def layout_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return the distance (P,) of layouts (P, 48), relative to the smaller contrast of the two."""
    contrast = (
        torch.minimum(*(layout.std(dim=1, correction=0) for layout in (first, second))) + 0.05
    )
    distances: Tensor = (first - second).square().mean(dim=1).sqrt() / contrast
    return distances


def _compared(
    compare: Callable[[Tensor, Tensor], Tensor],
    first: Thumbnails,
    second: Thumbnails,
    pairs: Tensor,
    block: int,
) -> Tensor:
    def compare_block(rows: Tensor) -> Tensor:
        return compare(first.grey[rows[:, 0]].float(), second.grey[rows[:, 1]].float())

    blocks = (pairs[start : start + block] for start in range(0, len(pairs), block))
    return torch.cat([torch.zeros(0), *parallel_map(compare_block, blocks)])


def _rough(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation (P,) at half the size, with shifts of one pixel."""
    halves = [_details(avg_pool2d(grey.unsqueeze(1), 2)) for grey in (first, second)]
    inner = halves[0][:, :, 1:-1, 1:-1].flatten(1).unsqueeze(1)
    side = SIDE // 2 - 2
    return _largest_correlation(inner, unfold(halves[1], side).transpose(1, 2))


def _fine(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation (P,) over all scales, and over shifts in thirds of a pixel.

    Pairs with a plain picture are also compared smoothed, with larger details.
    """
    pictures = [grey.unsqueeze(1) for grey in (first, second)]
    correlations = _aligned(*(_details(grey) for grey in pictures))
    contrasts = [(grey - _local_mean(grey)).std(dim=(1, 2, 3)) for grey in pictures]
    plain = (torch.minimum(*contrasts) < _PLAIN).nonzero().flatten()
    smooth = [_local_mean(grey[plain], _SMOOTH) for grey in pictures]
    larger = _aligned(*(_details(grey, _WIDE_WINDOW) for grey in smooth))
    return correlations.index_put((plain,), larger.maximum(correlations[plain]))


def _aligned(scaled: Tensor, shifted: Tensor) -> Tensor:
    """Return the largest correlation (P,) of details (P, 1, S, S) over scales and shifts."""
    side = SIDE - 2 * _SHIFT
    grid = _grid().expand(len(scaled), -1, -1, -1)
    sampled = grid_sample(scaled, grid, padding_mode="border", align_corners=False)
    templates = sampled.view(len(scaled), sampled.shape[2] // side, side * side)
    return _largest_correlation(templates, unfold(shifted, side).transpose(1, 2))


def _details(grey: Tensor, window: int = _WINDOW) -> Tensor:
    """Return pictures (P, 1, S, S) without the mean around each pixel, relative to the contrast.

    So a few strong edges, such as those of a white frame, do not outweigh everything else.
    """
    details = grey - _local_mean(grey, window)
    return details / (_local_mean(details.square(), window).sqrt() + _FAINT)


def _local_mean(pictures: Tensor, window: int = _WINDOW) -> Tensor:
    """Return the mean (P, 1, S, S) of the square around each pixel."""
    margin = window // 2
    return avg_pool2d(pad(pictures, (margin,) * 4, mode="replicate"), window, stride=1)


def _largest_correlation(templates: Tensor, patches: Tensor) -> Tensor:
    """Return the largest correlation (P,) of templates (P, K, D) and patches (P, M, D)."""
    centred = [rows - rows.mean(dim=2, keepdim=True) for rows in (templates, patches)]
    unit_templates, unit_patches = (normalize(rows, dim=2, eps=1e-6) for rows in centred)
    return (unit_templates @ unit_patches.transpose(1, 2)).flatten(1).amax(dim=1)


@lru_cache
def _grid() -> Tensor:
    """Return the places (1, K · T, T, 2) of the inner T x T pixels, in K scales and shifts."""
    side = SIDE - 2 * _SHIFT
    centred = torch.arange(side) - (side - 1) / 2
    grids = []
    for scale in _SCALES:
        for down in _PARTS:
            for right in _PARTS:
                rows, columns = torch.meshgrid(
                    centred * scale + down, centred * scale + right, indexing="ij"
                )
                grids.append(torch.stack([columns, rows], dim=2))
    return torch.cat(grids).div(SIDE / 2).unsqueeze(0)
