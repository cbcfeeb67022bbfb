"""Similarities of images with classes, worked out in blocks whenever they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.data.blocks import row_blocks


@dataclass(frozen=True)
class Similarities:
    """What would be an (M, C) tensor, and is never more than a block of its rows."""

    images: int
    """M"""
    classes: int
    """C"""
    block: Callable[[slice], Tensor]
    """The rows (B, C) of some consecutive images, on the CPU."""

    def __iter__(self) -> Iterator[Tensor]:
        """All rows, in order."""
        for rows in row_blocks(self.images, self.classes):
            yield self.block(rows)

    def labels(self) -> Tensor:
        """(M,) int64: the most similar class of each image, of equal ones the first."""
        labels = [torch.zeros(0, dtype=torch.int64), *(rows.argmax(dim=1) for rows in self)]
        return torch.cat(labels)


def in_blocks(similarities: Tensor) -> Similarities:
    """A tensor (M, C) that is in memory already, in blocks of its rows."""
    images, classes = similarities.shape
    return Similarities(images, classes, lambda rows: similarities[rows])
