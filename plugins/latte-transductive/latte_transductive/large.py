"""Mixture of many images and classes, in memory that does not grow with N x C.

The mixture of `mixture` keeps several matrices (N, C): with a million images and a thousand
classes, each takes 4 GB, and most of the time goes to the sums over neighbours. Here logits are
computed in blocks of images. Between blocks, each image keeps only its likeliest classes, and the
neighbours' classes count for these. Everything else is as in `fit_mixture`. Constants were chosen
so that at most 0.5 % of the labels differ (`python -m benchmarks large`, docs/performance.md).

Answers of a person or of a describer, image-only encoders, and other prior logits than those of the
class texts need `fit_mixture`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Classifier, JointLabels, Posterior, parallel_map, row_blocks
from latte_transductive.assigned import Assigned
from latte_transductive.mixture import NEIGHBOUR_UPDATES, NeighbourTerm
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import (
    FITS,
    MOST_IMAGES,
    balancing_shifts,
    mean_of,
    unlike_texts,
)
from latte_transductive.spaces import Space

LARGE = 2**24
"""With more images times classes, the mixture is fitted by this module."""
CLASSES = 16
"""Number of the likeliest classes of an image that count for it and for its neighbours."""
_STORED = 5
"""A posterior has at most this many classes per image, as `JointLabels.from_probabilities`."""
_CHANGE = 1e-3
"""Updates by neighbours end when an image's probabilities change less than this on average."""


@dataclass(frozen=True)
class LargeMixture:
    """Fitted mixture, as `Mixture`, with only the likeliest classes of each image."""

    posterior: Posterior
    rows: Tensor
    bias: Tensor
    encoder_rows: ClassVar[Mapping[str, Tensor]] = {}
    """Empty: image-only encoders need `fit_mixture`."""

    def labels(self, classifier: Classifier) -> JointLabels:
        """Return the likeliest class of each image, with weight 1, and `classifier`."""
        labels = self.posterior.labels[:, 0]
        weights = torch.ones_like(self.posterior.probabilities[:, 0])
        return JointLabels(labels, weights, classifier, self.posterior)


def is_large(images: Tensor, texts: Tensor) -> bool:
    """Return True if the mixture of `images` (N, D) and `texts` (C, D) should be fitted here."""
    return len(images) * len(texts) > LARGE


def fit_large_among_other_names(
    images: Tensor,
    texts: Tensor,
    other_texts: Tensor,
    logit_scale: float,
    options: MixtureOptions,
    *,
    names: int,
    balance: float,
    advance: Callable[[], object] = lambda: None,
) -> LargeMixture:
    """Return what `fit_among_other_names` returns, with the five likeliest classes per image.

    The arguments are the same, except that `advance` is called as often as `updates` returns.
    """
    classes = len(texts)
    sample = images[:: math.ceil(len(images) / MOST_IMAGES)]
    shifts = balance * balancing_shifts(logit_scale * (sample @ texts.T))
    fits = []
    for others in unlike_texts(other_texts, texts, names):
        all_texts = torch.cat([texts, others])
        anchors = normalize(all_texts + (images.mean(dim=0) - all_texts.mean(dim=0)), dim=1)
        text = _Text(logit_scale * all_texts, torch.cat([shifts, shifts.new_zeros(len(others))]))
        fits.append(_fit(Space.of_clip(images, anchors, None), text, options, advance))
    return LargeMixture(
        _mean_posterior([fit.likeliest for fit in fits], classes),
        mean_of([fit.rows[:classes] for fit in fits]),
        mean_of([fit.bias[:classes] for fit in fits]) + shifts,
    )


def updates(options: MixtureOptions, names: int) -> int:
    """Return the number of updates of the posteriors in `fit_large_among_other_names`.

    In each fit, the first ones are those of the texts, and each update of the Gaussians follows.
    """
    return (1 + options.iterations) * (FITS if names else 1)


@dataclass(frozen=True)
class _Text:
    """Logits of the class texts: `scale` x_i · t_c + shift_c."""

    rows: Tensor
    """(C, D): unit features of the class texts, times the logit scale."""
    shifts: Tensor
    """(C,): shifts of the logits."""


@dataclass(frozen=True)
class _Likeliest:
    """The K likeliest classes of each of N images, and the rest: all other classes together."""

    classes: Tensor
    """(N, K) int32."""
    logits: Tensor
    """(N, K + 1): logits of the classes and of the rest, without the neighbours' term."""
    probabilities: Tensor
    """(N, K + 1): probabilities of the classes and of the rest, which sum to 1."""

    @classmethod
    def of(cls, all_probabilities: Tensor, all_logits: Callable[[slice], Tensor]) -> _Likeliest:
        """Return the likeliest classes; write all probabilities (N, C) to `all_probabilities`.

        `all_logits` returns the logits of a block of images (B, C).
        """
        count, classes = all_probabilities.shape
        likeliest = min(CLASSES, classes)
        logits = all_probabilities.new_empty(count, likeliest + 1)
        labels = torch.empty_like(logits[:, 1:], dtype=torch.int32)

        def compute(rows: slice) -> None:
            probabilities = torch.softmax(all_logits(rows), dim=1, out=all_probabilities[rows])
            best = probabilities.topk(likeliest, dim=1)
            labels[rows] = best.indices
            logits[rows, :-1] = best.values
            logits[rows, -1] = (1 - best.values.sum(dim=1)).clamp_min(0)

        list(parallel_map(compute, row_blocks(count, classes)))
        return cls(labels, logits.log_(), logits.softmax(dim=1))

    @property
    def labels(self) -> Tensor:
        """The likeliest class (N,) of each image."""
        best = self.probabilities[:, :-1].argmax(dim=1, keepdim=True)
        return self.classes.gather(1, best).squeeze(1).long()

    def heard(self, term: NeighbourTerm, classes: int) -> _Likeliest:
        """Return the classes after the updates by neighbours; `classes` is C."""
        if term.neighbours is None or term.weight == 0:
            return self
        likeliest = self
        for _ in range(NEIGHBOUR_UPDATES):
            likeliest, change = likeliest._updated(term.neighbours.graph, term.weight, classes)
            if change < _CHANGE:
                break
        return likeliest

    def _updated(self, graph: Tensor, weight: float, classes: int) -> tuple[_Likeliest, float]:
        """Return the classes after one update, and the mean change of an image's probabilities."""
        shares, updated = self.probabilities[:, :-1].contiguous(), torch.empty_like(self.logits)

        def update(rows: slice) -> float:
            logits = self.logits[rows].clone()
            logits[:, :-1] += weight * _votes(self.classes, shares, graph, rows, classes)
            torch.softmax(logits, dim=1, out=updated[rows])
            return float((updated[rows] - self.probabilities[rows]).abs().sum())

        change = sum(parallel_map(update, row_blocks(len(updated), classes))) / len(updated)
        return _Likeliest(self.classes, self.logits, updated), change

    def put(self, all_probabilities: Tensor, rows: slice) -> Tensor:
        """Return the probabilities (B, C) of all classes, changed in `all_probabilities` (N, C)."""
        probabilities = self.probabilities[rows]
        factor = (probabilities[:, -1:].log() - self.logits[rows, -1:]).exp().nan_to_num(0)
        block = all_probabilities[rows].mul_(factor)
        return block.scatter_(1, self.classes[rows].long(), probabilities[:, :-1])


def _votes(
    classes_of: Tensor, probabilities: Tensor, graph: Tensor, rows: slice, classes: int
) -> Tensor:
    """Return the sums (B, K) over the neighbours of the images `rows`, for their own K classes.

    `probabilities` (N, K) are those of the likeliest classes.
    """
    starts = graph.crow_indices()[rows.start : rows.stop + 1]
    edges = slice(int(starts[0]), int(starts[-1]))
    neighbours, weights = graph.col_indices()[edges], graph.values()[edges]
    count = rows.stop - rows.start
    first_cells = torch.arange(0, count * classes, classes, device=starts.device)
    first_cells = first_cells.to(classes_of).repeat_interleave(starts.diff())
    cells = classes_of[neighbours].add_(first_cells.unsqueeze(1))
    shares = probabilities[neighbours].mul_(weights.unsqueeze(1))
    votes = probabilities.new_zeros(count * classes).index_add_(
        0, cells.flatten(), shares.flatten()
    )
    return votes.view(count, classes).gather(1, classes_of[rows].long())


@dataclass(frozen=True)
class _Fitted:
    """One fitted mixture."""

    likeliest: _Likeliest
    rows: Tensor
    """(C, D): weights of the linear classifier."""
    bias: Tensor
    """(C,): bias of the linear classifier."""


def _fit(
    space: Space, text: _Text, options: MixtureOptions, advance: Callable[[], object]
) -> _Fitted:
    """Return the mixture after all iterations; the formulas are those of `fit_mixture`."""
    images, classes = space.features, len(text.shifts)
    middle = text.rows @ space.moments.mean + text.shifts
    spread = options.image_weight * space.moments.spread(text.rows, text.shifts)
    probabilities = images.new_empty(len(images), classes)
    likeliest = _Likeliest.of(probabilities, partial(_logits, images, text.rows, text.shifts))
    labels = zero_shot = likeliest.labels
    term = NeighbourTerm.of(images, zero_shot, options)
    sums, counts = _sums(images, classes, probabilities.__getitem__)
    advance()
    rows, bias = torch.zeros_like(text.rows), torch.zeros_like(text.shifts)
    for iteration in range(options.iterations):
        assigned = Assigned.of(labels, zero_shot, middle, None)
        anchoring, evenness = assigned.anchoring(options), assigned.evenness
        rows, bias = space.classifier_of(
            sums, counts, anchoring, spread, learn_variances=iteration > 0
        )
        bias = bias - evenness**2 * options.debias * (middle - middle.mean())
        logits = partial(_logits, images, text.rows + rows, text.shifts + bias)
        likeliest = _Likeliest.of(probabilities, logits).heard(term, classes)
        sums, counts = _sums(images, classes, partial(likeliest.put, probabilities))
        labels = likeliest.labels
        advance()
    return _Fitted(likeliest, rows, bias)


def _logits(images: Tensor, rows: Tensor, bias: Tensor, block: slice) -> Tensor:
    """Return the logits (B, C) of a block of images by a linear classifier."""
    return torch.addmm(bias, images[block], rows.T)


def _sums(
    images: Tensor, classes: int, probabilities: Callable[[slice], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the sums of features (C, D) and the numbers of images (C,), weighted by probabilities.

    `probabilities` returns those of a block of images (B, C).
    """
    sums, counts = images.new_zeros(classes, images.shape[1]), images.new_zeros(classes)

    def of_block(rows: slice) -> tuple[Tensor, Tensor]:
        block = probabilities(rows)
        return block.T @ images[rows], block.sum(dim=0)

    for block_sums, block_counts in parallel_map(of_block, row_blocks(len(images), classes)):
        sums += block_sums
        counts += block_counts
    return sums, counts


def _mean_posterior(fits: Sequence[_Likeliest], classes: int) -> Posterior:
    """Return the likeliest of the first `classes` classes, by the mean of all fits.

    All other classes together are "none".
    """
    count = len(fits[0].classes)
    all_classes = 1 + max(classes, *(int(fit.classes.max()) for fit in fits))
    labels = torch.empty(count, min(_STORED, classes), dtype=torch.int64)
    probabilities, none = torch.empty(labels.shape), torch.empty(count)
    for rows in row_blocks(count, all_classes):
        total = fits[0].probabilities.new_zeros(rows.stop - rows.start, all_classes)
        for fit in fits:
            shares = fit.probabilities[rows, :-1] / len(fits)
            total.scatter_add_(1, fit.classes[rows].long(), shares)
        best = total[:, :classes].topk(labels.shape[1], dim=1)
        labels[rows], probabilities[rows] = best.indices.cpu(), best.values.cpu()
        none[rows] = total[:, classes:].sum(dim=1).cpu()
    return Posterior(labels, probabilities, none if all_classes > classes + 1 else None)
