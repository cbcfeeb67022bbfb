"""Feature spaces, in each of which every class is a Gaussian; the logits of all spaces add.

The first space is the CLIP's. Image-only encoders have further ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

_LEAST_VARIANCE = 0.01
"""Smallest variance of a feature dimension, relative to 1 / D (the variance in random vectors)."""


@dataclass(frozen=True)
class WeightedFeatures:
    """Unit features (N, D) of all images by an image-only encoder, and their weight."""

    features: Tensor
    weight: float
    """Standard deviation of the Gaussians' logits in this space, relative to the CLIP's space."""


@dataclass(frozen=True)
class Space:
    """Feature space of one encoder, with the moments of its features."""

    features: Tensor
    """(N, D): unit features of the images."""
    anchors: Tensor
    """(C, D) or (1, D): unit vectors that the means of classes without images have."""
    weight: float
    """Standard deviation of the Gaussians' logits over the classes, relative to the first space."""
    moments: _Moments
    counted: _Moments
    """Moments in which each image counts as often as in the means."""

    @classmethod
    def of(
        cls,
        features: Tensor,
        anchors: Tensor,
        weight: float = 1.0,
        image_weights: Tensor | None = None,
    ) -> Space:
        """Return the space of `features`; `image_weights` (N, 1) are 1 by default."""
        moments = _Moments.of(features)
        counted = moments
        if image_weights is not None:
            counted = _Moments.of(image_weights.sqrt() * features)
        return cls(features, anchors, weight, moments, counted)

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
        return self.classifier_of(sums, counts, anchoring, spread, learn_variances=learn_variances)

    def classifier_of(
        self,
        sums: Tensor,
        counts: Tensor,
        anchoring: Tensor,
        spread: float,
        *,
        learn_variances: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return rows and bias as `classifier` does.

        `sums` (C, D) are the sums of the features, weighted by the posteriors, and `counts` (C,)
        the sums of the posteriors.
        """
        means = normalize(sums + anchoring * self.anchors, dim=1)
        variances = torch.full_like(self.features[0], 1 / self.features.shape[1])
        if learn_variances:
            variances = _variances(self.counted, counts, sums, means)
        rows = means / variances
        bias = -0.5 * (means * rows).sum(dim=1)
        gaussian_spread = self.moments.spread(rows, bias)
        weight = self.weight * spread / gaussian_spread if gaussian_spread > 0 else 0.0
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


def _variances(moments: _Moments, counts: Tensor, sums: Tensor, means: Tensor) -> Tensor:
    """Return the mean squared distance (D,) between the images and their classes' means (C, D).

    `counts` (C,) and `sums` (C, D) are the numbers of images per class, and sums of their features.
    """
    cross = 2 * (sums * means).sum(dim=0) - counts @ means.square()
    distances = moments.second_moment.diagonal() - cross / moments.images
    return distances.clamp_min(_LEAST_VARIANCE / len(distances))
