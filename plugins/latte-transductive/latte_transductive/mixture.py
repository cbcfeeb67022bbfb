"""A Gaussian for each class, fitted to all images at once and anchored at the class texts.

Likelihood, text prior and their alternation are those of TransCLIP-ZS (Zanella, Gherin, Ben Ayed:
Boosting Vision-Language Models with Transduction, NeurIPS 2024). That a class's mean is held at its
text the more, the fewer images support it, is the idea of StatA (Zanella, Fuchs, De Vleeschouwer,
Ben Ayed: Realistic Test-Time Adaptation of Vision-Language Models, CVPR 2025). No term joins an
image to its neighbours, so that logits are linear in an image's feature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte_transductive.options import MixtureOptions

TextLogits = Callable[[Tensor], Tensor]
"""Unit features (B, D) -> scaled text similarities (B, C)."""

_BLOCK_NUMBERS = 2**24
"""Entries of an (images, classes) block that is held at once."""
_LEAST_VARIANCE = 0.01
"""Smallest variance of a feature's number, relative to that of random directions, 1 / D."""
_MOST_ANCHOR = 1e4
"""Images that a text counts as at most: more would change nothing."""


@dataclass(frozen=True)
class Mixture:
    """What C classes' Gaussians add to the text logits: `features @ rows.T + bias`."""

    rows: Tensor
    """(C, D)."""
    bias: Tensor
    """(C,)."""
    evenness: float
    """Effective number of classes that have images, as a share of C: in (0, 1]."""
    support: Tensor
    """(C,) in (0, 1]: see `_Assigned.support`."""


def fit_mixture(
    images: Tensor, texts: Tensor, text_logits: TextLogits, options: MixtureOptions
) -> Mixture:
    """Fit the unit features (N, D) of N > 0 images under unit class texts (C, D).

    Each iteration works out, from the labels so far,

        k_c = (r k_even + (1 - r) k_few) / support_c²
        mean_c = unit(sum_i z_ic x_i + k_c a_c)
        z_i = softmax over c of
              text_ic + w log N(x_i; mean_c, variances) - r² debias mean_i text_ic

    with a_c = unit(t_c + mean x - mean t), the class text moved to where images lie; the evenness
    r; `anchor_images` (k_even, k_few); and variances (D,) that all classes share. The weight w
    makes the Gaussians' logits differ among classes `image_weight` times as much as the text
    logits do.

    So a class without images keeps its text, texts weigh more where few of the names occur, and so
    does the text of a class whose images zero-shot CLIP calls something else.
    """
    anchors = normalize(texts + (images.mean(dim=0) - texts.mean(dim=0)), dim=1)
    text = _TextView.of(images, text_logits)
    moments = _Moments.of(images)
    rows, bias = torch.zeros_like(texts), torch.zeros_like(text.mean)
    assigned = _assign(images, text_logits, rows, bias, text.labels)
    variances = torch.full_like(images[0], 1 / images.shape[1])
    for iteration in range(options.iterations):
        sums, evenness = assigned.features, assigned.evenness
        means = normalize(sums + _anchoring(assigned, options) * anchors, dim=1)
        if iteration:
            variances = _variances(moments, assigned, means)
        rows = means / variances
        bias = -0.5 * (means * rows).sum(dim=1)
        spread = moments.spread(rows, bias)
        weight = options.image_weight * text.spread / spread if spread > 0 else 0.0
        rows = weight * rows
        bias = weight * bias - evenness**2 * options.debias * (text.mean - text.mean.mean())
        assigned = _assign(images, text_logits, rows, bias, text.labels)
    return Mixture(rows, bias, assigned.evenness, assigned.support)


@dataclass(frozen=True)
class _TextView:
    """How the class texts see all images."""

    labels: Tensor
    """(N,) int64: each image's nearest text."""
    mean: Tensor
    """(C,): mean logit of each class."""
    spread: float
    """Root mean square, over images, of the logits' standard deviation over classes."""

    @classmethod
    def of(cls, images: Tensor, text_logits: TextLogits) -> _TextView:
        classes = text_logits(images[:1]).shape[1]
        labels, sums, variance = [], images.new_zeros(classes), 0.0
        for block in _blocks(images, classes):
            logits = text_logits(block)
            labels.append(logits.argmax(dim=1))
            sums += logits.sum(dim=0)
            variance += float(logits.var(dim=1, correction=0).sum())
        return cls(torch.cat(labels), sums / len(images), (variance / len(images)) ** 0.5)


@dataclass(frozen=True)
class _Moments:
    """First and second moments of all images."""

    images: int
    mean: Tensor
    """(D,)."""
    second: Tensor
    """(D, D)."""

    @classmethod
    def of(cls, images: Tensor) -> _Moments:
        return cls(len(images), images.mean(dim=0), images.T @ images / len(images))

    def spread(self, rows: Tensor, bias: Tensor) -> float:
        """As `_TextView.spread`, of the logits `images @ rows.T + bias`, without making them."""
        rows, bias = rows - rows.mean(dim=0), bias - bias.mean()
        squares = ((rows @ self.second) * rows).sum(dim=1) + 2 * bias * (rows @ self.mean)
        return float((squares + bias.square()).mean().clamp_min(0).sqrt())


@dataclass(frozen=True)
class _Assigned:
    """What the images' posteriors add up to."""

    counts: Tensor
    """(C,): expected images of each class."""
    features: Tensor
    """(C, D): their features, added up."""
    labels: Tensor
    """(C,): images whose most probable class it is."""
    support: Tensor
    """(C,) in (0, 1]: of a class's images, how many zero-shot CLIP calls so, relative to how many
    it calls by their commonest zero-shot name; 1 for a class without images."""

    @property
    def evenness(self) -> float:
        """The exponential of the labels' entropy, divided by C."""
        shares = self.labels[self.labels > 0] / self.labels.sum()
        return float((-(shares * shares.log()).sum()).exp()) / len(self.labels)


def _assign(
    images: Tensor, text_logits: TextLogits, rows: Tensor, bias: Tensor, zero_shot: Tensor
) -> _Assigned:
    """Share the images among the classes; `zero_shot` (N,) are their nearest texts."""
    counts, features, labels = torch.zeros_like(bias), torch.zeros_like(rows), []
    for block in _blocks(images, len(rows)):
        logits = torch.addmm(text_logits(block) + bias, block, rows.T)
        shares = logits.softmax(dim=1)
        counts += shares.sum(dim=0)
        features += shares.T @ block
        labels.append(logits.argmax(dim=1))
    found = torch.cat(labels)
    total = found.bincount(minlength=len(rows)).to(bias)
    return _Assigned(counts, features, total, _support(found, zero_shot, total))


def _support(labels: Tensor, zero_shot: Tensor, total: Tensor) -> Tensor:
    """See `_Assigned.support`; half an image is added to both numbers."""
    classes = len(total)
    pairs, images = torch.unique(labels * classes + zero_shot, return_counts=True)
    label, name = pairs // classes, pairs % classes
    most = torch.zeros_like(total).scatter_reduce(0, label, images.to(total), "amax")
    own = torch.zeros_like(total)
    own[label[label == name]] = images[label == name].to(total)
    return (own + 0.5) / (most + 0.5)


def _anchoring(assigned: _Assigned, options: MixtureOptions) -> Tensor:
    """How many images each class's text counts as (C, 1)."""
    even, few = options.anchor_images
    images = assigned.evenness * even + (1 - assigned.evenness) * few
    return (images / assigned.support.square()).clamp_max(_MOST_ANCHOR).unsqueeze(1)


def _variances(moments: _Moments, assigned: _Assigned, means: Tensor) -> Tensor:
    """Mean squared distance (D,) of the images from the means (C, D) of their classes."""
    cross = 2 * (assigned.features * means).sum(dim=0) - assigned.counts @ means.square()
    distances = moments.second.diagonal() - cross / moments.images
    return distances.clamp_min(_LEAST_VARIANCE / len(distances))


def _blocks(images: Tensor, classes: int) -> Iterator[Tensor]:
    yield from torch.split(images, max(1, _BLOCK_NUMBERS // max(1, classes)))
