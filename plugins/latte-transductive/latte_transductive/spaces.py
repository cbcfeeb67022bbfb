"""Feature spaces, in each of which every class is a Gaussian; the logits of all spaces add.

The first space is the CLIP's. Image-only encoders have further ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

_LEAST_VARIANCE = 0.01
"""Smallest variance of a feature dimension, relative to 1 / D (the variance in random vectors)."""


@dataclass(frozen=True)
class EncoderSpace:
    """Centred features of all images by an image-only encoder.

    Features of a network have a large part that all images share. It is subtracted, and the rest is
    multiplied by a factor, so that the mean squared length is 1.
    """

    name: str
    features: Tensor
    """(N, E): centred features."""
    centre: Tensor
    """(E,): mean of the unit features."""
    factor: float

    @classmethod
    def of(cls, name: str, features: Tensor) -> EncoderSpace:
        """Return the space of unit features (N, E)."""
        centre = features.mean(dim=0)
        centred = features - centre
        length = float(centred.square().sum(dim=1).mean().sqrt())
        factor = 1 / length if length > 0 else 0.0
        return cls(name, factor * centred, centre, factor)

    def classifier(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (C, E) and bias (C,) over unit features, from `rows` over centred ones."""
        rows = self.factor * rows
        return rows, -rows @ self.centre


@dataclass(frozen=True)
class WeightedEncoders:
    """Image-only encoders that the mixture uses beside the CLIP."""

    spaces: tuple[EncoderSpace, ...]
    weights: tuple[float, ...]
    """Standard deviations of the Gaussians' logits in each space, relative to the CLIP's space."""
    directions: Tensor
    """(N, D + E + ...): unit vectors whose cosines decide which images are neighbours."""


@dataclass(frozen=True)
class Space:
    """Feature space of one encoder, with the moments of its features."""

    features: Tensor
    """(N, D): unit features of the images, or centred features of an encoder."""
    anchors: Tensor | None
    """(C, D): unit vectors that the means of classes without images have; None: the mean of all."""
    weight: float
    """Standard deviation of the Gaussians' logits, relative to the CLIP's space."""
    moments: _Moments
    counted: _Moments
    """Moments in which each image counts as often as in the means."""

    @classmethod
    def of_clip(cls, images: Tensor, anchors: Tensor, image_weights: Tensor | None) -> Space:
        """Return the space of unit features (N, D) and `anchors` (C, D).

        `image_weights` (N, 1) are the numbers of images that each image counts as; None: 1.
        """
        return cls(images, anchors, 1.0, *_moments(images, image_weights))

    @classmethod
    def of_encoder(
        cls, encoder: EncoderSpace, weight: float, image_weights: Tensor | None
    ) -> Space:
        """Return the space of an image-only encoder, which has no class texts."""
        moments = _moments(encoder.features, image_weights)
        return cls(encoder.features, None, weight, *moments)

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
        if self.anchors is None:
            means = sums / (counts.unsqueeze(1) + anchoring)
        else:
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
class Fitted:
    """Posteriors (N, C) of the images, and a linear classifier over the features of all spaces."""

    posteriors: Tensor
    rows: Sequence[Tensor]
    """(C, D) for each space."""
    bias: Tensor

    def over_unit_features(
        self, encoders: WeightedEncoders | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the CLIP's rows, the bias, and rows over the unit features of each encoder."""
        clip_rows, *further_rows = self.rows
        bias, encoder_rows = self.bias, {}
        used = () if encoders is None else encoders.spaces
        for encoder, centred_rows in zip(used, further_rows, strict=True):
            encoder_rows[encoder.name], shift = encoder.classifier(centred_rows)
            bias = bias + shift
        return clip_rows, bias, encoder_rows


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return matrices side by side; one matrix alone is not copied, which keeps its bits."""
    return parts[0] if len(parts) == 1 else torch.cat([*parts], dim=1)


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
