"""Pseudo-labels that all training images decide together, once an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    Classifier,
    FeatureBank,
    LabelStream,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    RoundInfo,
    TrainingStart,
)
from latte_transductive.graph import neighbour_graph
from latte_transductive.mixture import fit_mixture, log_prior, unseen_rows
from latte_transductive.options import TransductiveOptions

_KEPT = 5
"""Classes of an image that its posterior names."""


class TransductiveLabeler(PseudoLabeler[TransductiveOptions]):
    """Fits a Gaussian mixture with a text prior to each learner's features of all images.

    The prior is the softmax of the similarities, times the frozen CLIP's logit scale, with the
    zero-shot classifier, or with the learner's prototypes now (`prior: current`): then labels
    follow what training, descriptions and other labelers do to the prototypes.
    """

    refresh: Refresh = "epoch"
    needs_feature_banks = True
    _start: TrainingStart
    _frozen_graph: Tensor | None

    def start(self, start: TrainingStart) -> None:
        """Keep the zero-shot classifier."""
        self._start = start
        self._frozen_graph = None
        self._labels: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}
        self._posteriors: dict[str, Posterior] = {}

    @torch.no_grad()
    def begin_round(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> RoundInfo:
        """Label all banks; classifiers are those of unseen images (see `unseen_rows`)."""
        classifiers = {}
        for name, bank in banks.items():
            rows = self._label(name, bank, aggregators[name])
            classifiers[name] = Classifier(rows, torch.arange(len(rows), device=rows.device))
        return RoundInfo(classifiers)

    def _label(
        self, learner: str, bank: FeatureBank, aggregator: PrototypeAggregator[Any]
    ) -> Tensor:
        """Keep labels and weights (N,) of one learner's images; returns unit rows (C, D)."""
        images = bank.features
        scale = self.context.frozen_clip().logit_scale.to(images)
        similarities, rows = self._prior(images, aggregator)
        mixture = fit_mixture(
            images,
            log_prior(scale * similarities, self.options.debias),
            self._graph(images),
            self.options,
        )
        highest, labels = mixture.assignments.max(dim=1)
        best = mixture.assignments.topk(min(_KEPT, mixture.assignments.shape[1]), dim=1)
        self._posteriors[learner] = Posterior(best.indices.cpu(), best.values.cpu())
        # On the CPU, as the indices of a batch are.
        self._labels[learner] = labels.cpu()
        weights = highest if self.options.confidence else torch.ones_like(highest)
        self._weights[learner] = weights.cpu()
        return unseen_rows(mixture, rows, scale, self.options.likelihood_weight)

    def _prior(self, images: Tensor, aggregator: PrototypeAggregator[Any]) -> tuple[Tensor, Tensor]:
        """Similarities (N, C), and one unit row (C, D) a class that gives them or nearly."""
        if self.options.prior == "zero_shot":
            rows = self._start.class_features.to(images)
            return images @ rows.T, rows
        weights, owners = aggregator.classifier().weights, aggregator.classifier().owners
        sums = weights.new_zeros(len(self._start.class_names), weights.shape[1])
        return aggregator.logits(images), normalize(sums.index_add_(0, owners, weights), dim=1)

    def _graph(self, images: Tensor) -> Tensor:
        """The graph of images; that of the frozen features, which do not change, only once."""
        if images is not self._start.image_features:
            return neighbour_graph(images, self.options.neighbours)
        if self._frozen_graph is None:
            self._frozen_graph = neighbour_graph(images, self.options.neighbours)
        return self._frozen_graph

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """One stream `transductive`: this epoch's labels, whatever the batch looks like now."""
        if self.options.weight == 0:
            return []
        labels = self._labels[batch.learner][batch.indices].to(image_features.device)
        weights = self._weights[batch.learner][batch.indices].to(image_features)
        return [LabelStream("transductive", labels, weights, self.options.weight)]

    def posterior(self, learner: str) -> Posterior | None:
        """The five most probable classes of each image of this learner, by the mixture."""
        return self._posteriors.get(learner)

    def state(self) -> dict[str, Tensor]:
        """Labels, weights (N,) and posteriors (N, K) of each learner in this epoch."""
        tops = self._posteriors.items()
        parts = {
            "labels": self._labels,
            "weights": self._weights,
            "classes": {name: one.labels for name, one in tops},
            "probabilities": {name: one.probabilities for name, one in tops},
        }
        return {
            f"{part}.{name}": one.clone() for part, by in parts.items() for name, one in by.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._labels = _below("labels.", state)
        self._weights = _below("weights.", state)
        probabilities = _below("probabilities.", state)
        self._posteriors = {
            name: Posterior(classes, probabilities[name])
            for name, classes in _below("classes.", state).items()
        }


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {key.removeprefix(prefix): one for key, one in state.items() if key.startswith(prefix)}
    return {name: one.cpu() for name, one in named.items()}
