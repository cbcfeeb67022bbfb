"""Similarities of images with classes, worked out in blocks whenever they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.toolkit.blocks import row_blocks


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


# What can be said about a classifier on images that nobody labelled.


@dataclass(frozen=True)
class Diagnostics:
    """Label-free figures of one classifier; none of them is an accuracy."""

    confidence: float
    """Mean probability of the top class (softmax of logit scale times similarity)."""
    margin: float
    """Mean similarity of the top class minus that of the second; 0 with a single class."""
    balance: float
    """Entropy of how often each class is predicted, over log C: 1 when all classes are predicted
    equally often, 0 when everything falls into one class. A drop warns of collapse."""
    class_counts: tuple[int, ...]
    """Images predicted as each class, in label order."""


def diagnose(similarities: Tensor | Similarities, logit_scale: float) -> Diagnostics:
    """Figures of a classifier on N > 0 images, from similarities (N, C), not scaled."""
    found = in_blocks(similarities) if isinstance(similarities, Tensor) else similarities
    blocks = [_figures(block.detach().float(), logit_scale) for block in found]
    labels, confidences, margins = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    counts = torch.bincount(labels, minlength=found.classes)
    return Diagnostics(
        confidence=confidences.mean().item(),
        margin=float(margins.mean()),
        balance=balance(counts),
        class_counts=tuple(counts.tolist()),
    )


def _figures(similarities: Tensor, logit_scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of each image of a block: its class, the probability of that, and the margin."""
    confidences = (similarities * logit_scale).softmax(dim=1).amax(dim=1)
    best = similarities.topk(min(2, similarities.shape[1]), dim=1).values
    return similarities.argmax(dim=1), confidences, best[:, 0] - best[:, -1]


def balance(counts: Tensor) -> float:
    """Entropy of the distribution `counts` (C,) over log C, in [0, 1]; 1 for a single class."""
    if len(counts) == 1:
        return 1.0
    shares = counts.double() / counts.sum()
    return min(1.0, float(torch.special.entr(shares).sum()) / math.log(len(counts)))


def agreement(labels: Tensor, other: Tensor) -> float:
    """Share of N > 0 images to which two label vectors (N,) give the same class."""
    return float((labels == other).double().mean())
