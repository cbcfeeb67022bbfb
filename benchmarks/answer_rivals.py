"""Ways to use the classes that a person gave to a few images, as rivals of latte's method.

Each has its published or usual form. Their settings were chosen on the eight sets named in
`answers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from latte_benchmarks.folder_cells import LabelledSet
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from latte.api import Posterior, nearest_neighbours, symmetric_graph
from latte.toolkit.self_taught import Taught, self_taught

_SURE, _ANSWER = 0.9, 200.0
_NEAR_TEXTS, _NEAR_TEXTS_WITH_SURE_LABELS = 0.0005, 0.02
_NEIGHBOURS, _PROPAGATION, _TEXT_SEED = 10, 0.9, 0.01
_CACHE_WEIGHT, _CACHE_SHARPNESS = 150.0, 5.5


@dataclass(frozen=True)
class RivalLabels:
    """Labels that a method gives the set's own images, and images that it has not seen."""

    own: Tensor
    unseen: Tensor


@dataclass(frozen=True)
class AnsweredSet:
    """A labelled set whose training images are a folder, and whose test images are unseen."""

    labelled: LabelledSet

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.labelled.name

    @property
    def classes(self) -> int:
        """Number of class names."""
        return len(self.labelled.names)

    @cached_property
    def own(self) -> Tensor:
        """Unit features (N, D) of the folder's images."""
        return self.labelled.train.features

    @cached_property
    def unseen(self) -> Tensor:
        """Unit features (M, D) of other images."""
        return self.labelled.test.features

    @cached_property
    def without_answers(self) -> Posterior:
        """Posterior of the own images without answers."""
        return self.taught(torch.full((len(self.own),), -1)).posterior

    def taught(self, corrections: Tensor) -> Taught:
        """Return the regression with answers (N,), where -1 is no answer."""
        return self_taught(self.own, self.labelled.texts, corrections)

    @cached_property
    def moved_texts(self) -> Tensor:
        """Class texts (C, D), moved by the gap between texts and images."""
        texts = self.labelled.texts
        return normalize(texts + self.own.mean(dim=0) - texts.mean(dim=0), dim=1)

    @cached_property
    def propagation(self) -> Tensor:
        """(N, N) inverse of I - 0.9 S, where S is the normalised graph of ten neighbours."""
        cosines, indices = nearest_neighbours(self.own, _NEIGHBOURS)
        graph = symmetric_graph(cosines.clamp_min(0), indices).to_dense()
        scale = graph.sum(dim=1).clamp_min(1e-9).rsqrt()
        identity = torch.eye(len(graph))
        inverse: Tensor = torch.linalg.inv(identity - _PROPAGATION * scale[:, None] * graph * scale)
        return inverse

    def classified(self, rows: Tensor, bias: Tensor | float = 0.0) -> RivalLabels:
        """Return the labels of a linear classifier."""
        return RivalLabels(
            *((features @ rows.T + bias).argmax(dim=1) for features in (self.own, self.unseen))
        )


RivalMethod = Callable[[AnsweredSet, Tensor], RivalLabels]
"""Function of a set, and of the given classes (N,) with -1 elsewhere."""


def latte(answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
    """Labels of self-taught regression with the answers."""
    taught = answered.taught(corrections)
    unseen = answered.classified(taught.rows[0], taught.bias).unseen
    return RivalLabels(taught.posterior.labels[:, 0], unseen)


def probe(answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
    """Labels of a logistic regression on the answers, which starts at the class texts."""
    rows = (corrections >= 0).nonzero().squeeze(1)
    weights = torch.ones(len(rows))
    return _regressed(answered, rows, corrections[rows], weights, _NEAR_TEXTS)


def probe_with_sure_labels(answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
    """Labels of the same regression, also on latte's labels with a probability above .9."""
    posterior = answered.without_answers
    probabilities, labels = posterior.probabilities[:, 0], posterior.labels[:, 0]
    rows = ((corrections >= 0) | (probabilities > _SURE)).nonzero().squeeze(1)
    labels = torch.where(corrections >= 0, corrections, labels)[rows]
    weights = torch.where(corrections[rows] >= 0, _ANSWER, 1.0)
    return _regressed(answered, rows, labels, weights, _NEAR_TEXTS_WITH_SURE_LABELS)


def nearest_mean(answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
    """Labels of the nearest class mean; a class's moved text counts as one image."""
    rows = corrections >= 0
    sums = one_hot(corrections[rows], len(answered.moved_texts)).float().T @ answered.own[rows]
    return answered.classified(normalize(sums + answered.moved_texts, dim=1))


def propagation(answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
    """Labels by propagation from the answers over the graph of neighbours.

    Zhou, Bousquet, Lal, Weston, Schölkopf: Learning with Local and Global Consistency, NIPS 2003.
    Images without an answer start at 0.01 of their zero-shot probabilities. An unseen image gets
    the mean of its ten neighbours, weighted by their cosines.
    """
    scale, texts = answered.labelled.logit_scale, answered.labelled.texts
    seeds = _TEXT_SEED * (scale * answered.own @ texts.T).softmax(dim=1)
    rows = corrections >= 0
    seeds[rows] = one_hot(corrections[rows], len(texts)).float()
    scores = answered.propagation @ seeds
    cosines, indices = (answered.unseen @ answered.own.T).topk(_NEIGHBOURS, dim=1)
    unseen = (cosines.clamp_min(0)[:, :, None] * scores[indices]).sum(dim=1)
    return RivalLabels(scores.argmax(dim=1), unseen.argmax(dim=1))


def tip_adapter(answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
    """Labels of a cache of the answers, added to the zero-shot logits.

    Zhang et al.: Tip-Adapter, ECCV 2022, without training. Answers of a class are averaged, since
    classes have different numbers of them, and each class's mean zero-shot logit is subtracted.
    """
    scale, texts = answered.labelled.logit_scale, answered.labelled.texts
    rows = corrections >= 0
    keys, values = answered.own[rows], one_hot(corrections[rows], len(texts)).float()
    values = values / values.sum(dim=0).clamp_min(1)
    middle = (scale * answered.own @ texts.T).mean(dim=0)

    def labels(features: Tensor) -> Tensor:
        nearness = torch.exp(-_CACHE_SHARPNESS * (1 - features @ keys.T))
        logits = scale * features @ texts.T - middle
        return (logits + _CACHE_WEIGHT * nearness @ values).argmax(dim=1)

    return RivalLabels(labels(answered.own), labels(answered.unseen))


def _regressed(
    answered: AnsweredSet, rows: Tensor, labels: Tensor, weights: Tensor, near: float
) -> RivalLabels:
    texts = answered.labelled.logit_scale * answered.labelled.texts
    learned = texts.clone().requires_grad_()
    bias = torch.zeros(len(texts), requires_grad=True)
    optimizer = torch.optim.LBFGS([learned, bias], max_iter=60, history_size=10)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = torch.addmm(bias, answered.own[rows], learned.T)
        losses = weights * cross_entropy(logits, labels, reduction="none")
        moved = near * (learned - texts).square().sum() + 0.001 * bias.square().sum()
        mean = (losses.sum() + moved) / weights.sum()
        mean.backward()  # type: ignore[no-untyped-call]
        return mean

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return answered.classified(learned.detach(), bias.detach())


RIVALS: dict[str, RivalMethod] = {
    "probe": probe,
    "probe, sure labels": probe_with_sure_labels,
    "nearest mean": nearest_mean,
    "propagation": propagation,
    "Tip-Adapter": tip_adapter,
}
