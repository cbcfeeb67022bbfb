"""Similarities of images and classes, computed in blocks, and measures without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.interfaces import Classifier
from latte.toolkit.blocks import row_blocks


@dataclass(frozen=True)
class Similarities:
    """Matrix (M, C) of similarities, computed in blocks so that it is never entirely in memory."""

    images: int
    classes: int
    block: Callable[[slice], Tensor]
    """Function that returns the rows (B, C) of a slice of images, on the CPU."""

    def __iter__(self) -> Iterator[Tensor]:
        """Yield all rows in order, in blocks (B, C)."""
        for rows in row_blocks(self.images, self.classes):
            yield self.block(rows)

    def labels(self) -> Tensor:
        """Return the most similar class (M,) of each image, int64; the first one if classes tie."""
        labels = [torch.zeros(0, dtype=torch.int64), *(rows.argmax(dim=1) for rows in self)]
        return torch.cat(labels)


def in_blocks(similarities: Tensor | Similarities) -> Similarities:
    """Wrap a tensor (M, C) in a `Similarities` object; return a `Similarities` object unchanged."""
    if isinstance(similarities, Similarities):
        return similarities
    images, classes = similarities.shape
    return Similarities(images, classes, lambda rows: similarities[rows])


def mean_similarities(classifiers: Sequence[Classifier], features: Sequence[Tensor]) -> Tensor:
    """Return the members' mean similarities (B, C), from each member's features (B, D)."""
    similarities = [
        classifier.similarities(member_features)
        for classifier, member_features in zip(classifiers, features, strict=True)
    ]
    return similarities[0] if len(similarities) == 1 else torch.stack(similarities).mean(dim=0)


def mean_none_similarities(
    classifiers: Sequence[Classifier], features: Sequence[Tensor]
) -> Tensor | None:
    """Return the members' mean similarities (B,) to "none of these"; None if a member has none."""
    similarities = [
        part
        for classifier, member_features in zip(classifiers, features, strict=True)
        if (part := classifier.none_similarities(member_features)) is not None
    ]
    return torch.stack(similarities).mean(dim=0) if len(similarities) == len(classifiers) else None


@dataclass(frozen=True)
class Diagnostics:
    """Measures of one classifier that need no labels; none of them measures accuracy."""

    confidence: float
    """Mean probability of the top class (softmax of logit scale times similarity)."""
    margin: float
    """Mean difference between the two highest similarities; 0 with a single class."""


def diagnose(similarities: Tensor | Similarities, logit_scale: float) -> Diagnostics:
    """Compute the mean confidence and margin from unscaled similarities (N, C) of N > 0 images."""
    similarity_blocks = in_blocks(similarities)
    blocks = [confidence_and_margin(block, logit_scale) for block in similarity_blocks]
    confidences, margins = (torch.cat(columns) for columns in zip(*blocks, strict=True))
    return Diagnostics(confidence=confidences.mean().item(), margin=float(margins.mean()))


def confidence_and_margin(similarities: Tensor, logit_scale: float) -> tuple[Tensor, Tensor]:
    """Return the probability (B,) of each image's top class, and its margin (B,).

    The margin is the difference between the two highest similarities; 0 with a single class.
    """
    similarities = similarities.detach().float()
    confidences = (similarities * logit_scale).softmax(dim=1).amax(dim=1)
    top_similarities = similarities.topk(min(2, similarities.shape[1]), dim=1).values
    return confidences, top_similarities[:, 0] - top_similarities[:, -1]


def agreement(labels: Tensor, other_labels: Tensor) -> float:
    """Return the fraction of N > 0 images that have the same class in two label vectors (N,)."""
    return float((labels == other_labels).double().mean())
