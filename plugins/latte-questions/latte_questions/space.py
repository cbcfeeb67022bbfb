"""Feature space of the images, in which every class is a Gaussian with shared variances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

_LEAST_VARIANCE = 0.01
"""Smallest variance of a feature dimension, relative to 1 / D (the variance in random vectors)."""


@dataclass(frozen=True)
class Space:
    """Feature space of one encoder, with the moments of its features."""

    features: Tensor
    """(N, D): unit features of the images."""
    anchors: Tensor
    """(C, D): unit vectors that the means of classes without images have."""
    moments: _Moments
    counted: _Moments
    """Moments in which each image counts as often as in the means."""

    @classmethod
    def of(cls, images: Tensor, anchors: Tensor, image_weights: Tensor | None) -> Space:
        """Return the space of unit features (N, D) and `anchors` (C, D).

        `image_weights` (N, 1) are the numbers of images that each image counts as; None: 1.
        """
        return cls(images, anchors, *_moments(images, image_weights))

    def classifier(
        self, posteriors: Tensor, anchoring: Tensor, spread: float, *, learn_variances: bool
    ) -> tuple[Tensor, Tensor]:
        """Return rows (C, D) and bias (C,) of the Gaussians' logits.

        Args:
            posteriors: (N, C): class probabilities of the images, times the images' weights.
            anchoring: (C, 1): number of images that each class's anchor counts as.
            spread: standard deviation of the logits over the classes.
            learn_variances: if false, the variances are those of random unit vectors.
        """
        sums, counts = posteriors.T @ self.features, posteriors.sum(dim=0)
        means = normalize(sums + anchoring * self.anchors, dim=1)
        variances = torch.full_like(self.features[0], 1 / self.features.shape[1])
        if learn_variances:
            variances = _variances(self.counted, counts, sums, means)
        rows = means / variances
        bias = -0.5 * (means * rows).sum(dim=1)
        gaussian_spread = self.moments.spread(rows, bias)
        weight = spread / gaussian_spread if gaussian_spread > 0 else 0.0
        return weight * rows, weight * bias


@dataclass(frozen=True)
class _Moments:
    """First and second moments of the features of all images."""

    images: int
    mean: Tensor
    """(D,): mean of the features."""
    second_moment: Tensor
    """(D, D): mean of the outer products of each feature with itself."""

    @classmethod
    def of(cls, images: Tensor) -> _Moments:
        return cls(len(images), images.mean(dim=0), images.T @ images / len(images))

    def spread(self, rows: Tensor, bias: Tensor) -> float:
        """Return the standard deviation of logits over classes, as root mean square over images.

        It is computed without the images, from the moments of their features.
        """
        rows, bias = rows - rows.mean(dim=0), bias - bias.mean()
        squares = ((rows @ self.second_moment) * rows).sum(dim=1) + 2 * bias * (rows @ self.mean)
        return float((squares + bias.square()).mean().clamp_min(0).sqrt())


def _moments(features: Tensor, image_weights: Tensor | None) -> tuple[_Moments, _Moments]:
    """Return the moments of the images, and those in which an image has its weight."""
    moments = _Moments.of(features)
    if image_weights is None:
        return moments, moments
    return moments, _Moments.of(image_weights.sqrt() * features)


def _variances(moments: _Moments, counts: Tensor, sums: Tensor, means: Tensor) -> Tensor:
    """Return the mean squared distance (D,) between the images and their classes' means (C, D).

    `counts` (C,) and `sums` (C, D) are the numbers of images per class, and sums of their features.
    """
    cross = 2 * (sums * means).sum(dim=0) - counts @ means.square()
    distances = moments.second_moment.diagonal() - cross / moments.images
    return distances.clamp_min(_LEAST_VARIANCE / len(distances))
