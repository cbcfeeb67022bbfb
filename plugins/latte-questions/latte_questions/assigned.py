"""Labels of all images during the fit of the mixture, and how far each class's text is trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latte_questions.options import MixtureOptions

_MOST_ANCHOR = 1e4
"""Largest number of images that a text counts as; larger numbers would have no effect."""


@dataclass(frozen=True)
class Assigned:
    """Facts about the labels of each class."""

    counts: Tensor
    """(C,): number of images whose most probable class this is."""
    support: Tensor
    """(C,) in (0, 1]: n / m, both counted among the images labelled with the class. n is the number
    of images whose zero-shot label is this class too, and m is the number of images with the most
    frequent zero-shot label. The support is 1 for a class without images, and for a class that a
    person gave to an image."""

    @classmethod
    def of(
        cls, labels: Tensor, zero_shot: Tensor, middle: Tensor, belief: Tensor | None
    ) -> Assigned:
        """Return the facts about labels (N,) and zero-shot labels (N,).

        `middle` (C,) has the number of classes and the dtype. `belief` (C,) are the certainties of
        classes that a person gave to images.
        """
        counts = labels.bincount(minlength=len(middle)).to(middle)
        support = support_of(labels, zero_shot, counts)
        if belief is not None:
            support = torch.lerp(support, torch.ones_like(support), belief)
        return cls(counts, support)

    @property
    def evenness(self) -> float:
        """Evenness of the labels; see `evenness_of`."""
        return evenness_of(self.counts)

    def anchoring(self, options: MixtureOptions) -> Tensor:
        """Return the number of images (C, 1) that a class's text counts as in the class's mean."""
        even, few = options.anchor_images
        images = self.evenness * even + (1 - self.evenness) * few
        return (images / self.support.square()).clamp_max(_MOST_ANCHOR).unsqueeze(1)


def evenness_of(counts: Tensor) -> float:
    """Return exp(entropy) / C of the numbers of images (C,) per class: 1 if all are equal.

    Example:
        >>> evenness_of(torch.tensor([5.0, 0.0]))
        0.5
    """
    shares = counts[counts > 0] / counts.sum()
    return float((-(shares * shares.log()).sum()).exp()) / len(counts)


def support_of(labels: Tensor, zero_shot: Tensor, counts: Tensor) -> Tensor:
    """Return the support of each class: (n + 0.5) / (m + 0.5), with n, m of `Assigned.support`."""
    classes = len(counts)
    pairs, images = torch.unique(labels * classes + zero_shot, return_counts=True)
    label, name = pairs // classes, pairs % classes
    most = torch.zeros_like(counts).scatter_reduce(0, label, images.to(counts), "amax")
    zero_shot_images = torch.zeros_like(counts)
    zero_shot_images[label[label == name]] = images[label == name].to(counts)
    return (zero_shot_images + 0.5) / (most + 0.5)
