"""Series: sets of images that count once, such as copies of a picture or the photos of a burst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

Origin = Literal["copies", "near-copies", "burst", "column"]
"""Reason why two images are of one series: equal files, the same picture saved or cropped again,
photos taken within seconds, or a table that says so."""
ORIGINS: tuple[Origin, ...] = get_args(Origin)


@dataclass(frozen=True)
class Series:
    """The series of N images. An image that belongs to no other image is a series of its own."""

    numbers: Tensor
    """(N,) int64: series of each image. Series are numbered from 0 in the order of their first
    images, without gaps."""
    origins: tuple[tuple[Origin, ...], ...]
    """The S series: all reasons why the images of each belong together; none if it has one image.
    """

    def __len__(self) -> int:
        """Return the number S of series."""
        return len(self.origins)

    @cached_property
    def sizes(self) -> Tensor:
        """The number of images (S,) int64 of each series."""
        sizes: Tensor = self.numbers.bincount(minlength=len(self.origins))
        return sizes

    @cached_property
    def first_images(self) -> Tensor:
        """The index (S,) int64 of the first image of each series."""
        firsts = torch.full((len(self.origins),), len(self.numbers), dtype=torch.int64)
        indices = torch.arange(len(self.numbers))
        return firsts.scatter_reduce(0, self.numbers, indices, "amin")

    def taken(self, rows: Tensor) -> Tensor:
        """Return the series (R,) of the images with the indices `rows`, numbered without gaps."""
        numbers: Tensor = torch.unique(self.numbers[rows], return_inverse=True)[1]
        return numbers


def joined(count: int, pairs: Mapping[Origin, Tensor]) -> Series:
    """Return the series of `count` images, given pairs of images that belong together.

    Images that are connected by a chain of pairs are one series.

    Args:
        count: number N of images.
        pairs: int64 (P, 2), the indices of the images of each pair, for each origin.
    """
    edges = torch.cat([torch.empty(0, 2, dtype=torch.int64), *pairs.values()])
    roots = _smallest_connected(count, edges)
    distinct_roots, numbers = torch.unique(roots, return_inverse=True)
    origins: list[list[Origin]] = [[] for _ in range(len(distinct_roots))]
    for origin in ORIGINS:
        if origin in pairs:
            for number in numbers[pairs[origin][:, 0]].unique().tolist():
                origins[number].append(origin)
    return Series(numbers, tuple(map(tuple, origins)))


def equal_pairs(values: Sequence[str | None]) -> Tensor:
    """Return pairs (P, 2) of the indices of equal values; values that are None or empty equal none.

    Each index is paired with the first index of the same value.
    """
    first_index: dict[str, int] = {}
    pairs = [
        (first_place, index)
        for index, value in enumerate(values)
        if value and (first_place := first_index.setdefault(value, index)) != index
    ]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)


def _smallest_connected(count: int, pairs: Tensor) -> Tensor:
    """Return the smallest index (N,) that each of `count` indices is connected to by pairs (P, 2).

    In each step, the root of each pair becomes the smaller of its two roots, and each index is
    linked to the root of its root, so the number of steps grows with the logarithm of the longest
    chain (Shiloach and Vishkin: An O(log n) parallel connectivity algorithm, 1982).
    """
    roots = torch.arange(count)
    while True:
        left_roots, right_roots = roots[pairs[:, 0]], roots[pairs[:, 1]]
        smaller, larger = (
            torch.minimum(left_roots, right_roots),
            torch.maximum(left_roots, right_roots),
        )
        if torch.equal(smaller, larger):
            return roots
        roots = roots.scatter_reduce(0, larger, smaller, "amin")
        while not torch.equal(grandparents := roots[roots], roots):
            roots = grandparents
