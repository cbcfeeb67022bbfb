"""Pseudo-labels from a Gaussian mixture fitted to all training images, once per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    Classifier,
    EpochInfo,
    FeatureBank,
    LabelStream,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
)
from latte_transductive.mixture import Mixture, TextLogits, fit_mixture
from latte_transductive.options import TransductiveOptions

_STORED = 5
"""The stored posterior has this many classes per image, the most probable ones."""


class TransductiveLabeler(PseudoLabeler[TransductiveOptions]):
    """Labeler that fits an anchored Gaussian mixture to each learner's features of all images.

    The prior is the softmax of text logits: the similarities with the zero-shot classifier times
    the frozen CLIP's logit scale. With `prior: current` the learner's current prototypes replace
    the zero-shot classifier, so that labels change with the prototypes.
    """

    refresh: Refresh = "epoch"
    needs_feature_banks = True
    _start: TrainingStart

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier."""
        self._start = start
        self._posteriors: dict[str, Posterior] = {}

    @torch.no_grad()
    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Label the images for each learner; return each learner's mixture as its classifier."""
        classifiers = {
            name: self._label(name, bank.features, aggregators[name])
            for name, bank in banks.items()
        }
        return EpochInfo(classifiers)

    def _label(
        self, learner: str, images: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> Classifier:
        scale = self._scale(images)
        texts = self._texts(images, aggregator)
        mixture = self._fit(images, texts, self._text_logits(scale, texts, aggregator))
        best = mixture.posteriors.topk(min(_STORED, len(texts)), dim=1)
        self._posteriors[learner] = Posterior(best.indices.cpu(), best.values.cpu())
        # The classifier gives similarities: latte multiplies them by the logit scale.
        rows, bias = texts + mixture.rows / scale, mixture.bias / scale
        return Classifier(rows, torch.arange(len(rows), device=rows.device), bias)

    def _scale(self, images: Tensor) -> Tensor:
        return self.context.frozen_clip().logit_scale.to(images)

    def _text_logits(
        self, scale: Tensor, texts: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> TextLogits:
        def text_logits(block: Tensor) -> Tensor:
            if self.options.prior == "zero_shot":
                return scale * (block @ texts.T)
            return scale * aggregator.similarities(block)

        return text_logits

    def _fit(self, images: Tensor, texts: Tensor, text_logits: TextLogits) -> Mixture:
        given = self._start.corrections
        return fit_mixture(images, texts, text_logits, self.options, given)

    def _texts(self, images: Tensor, aggregator: PrototypeAggregator[Any]) -> Tensor:
        """Return the class texts (C, D).

        With `prior: current`, these are the unit means of each class's prototypes.
        """
        if self.options.prior == "zero_shot":
            return self._start.class_features.to(images)
        classifier = aggregator.classifier()
        sums = classifier.weights.new_zeros(len(self._start.class_names), images.shape[1])
        return normalize(sums.index_add_(0, classifier.owners, classifier.weights), dim=1)

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return one label stream, `transductive`, with the labels of the epoch's start."""
        if self.options.weight == 0:
            return []
        found = self._posteriors[batch.learner]
        labels = found.labels[batch.indices, 0].to(image_features.device, non_blocking=True)
        weights = found.probabilities[batch.indices, 0].to(image_features, non_blocking=True)
        if not self.options.confidence:
            weights = torch.ones_like(weights)
        return [LabelStream("transductive", labels, weights, self.options.weight)]

    def posterior(self, learner: str) -> Posterior | None:
        """Return the five most probable classes of each image, by this learner's mixture."""
        return self._posteriors.get(learner)

    def state(self) -> dict[str, Tensor]:
        """Return labels and probabilities (N, K) of the K likeliest classes, for each learner."""
        return {
            f"{part}.{name}": value.clone()
            for name, one in self._posteriors.items()
            for part, value in (("labels", one.labels), ("probabilities", one.probabilities))
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._posteriors = {
            key.removeprefix("labels."): Posterior(
                labels.cpu(), state[f"probabilities.{key.removeprefix('labels.')}"].cpu()
            )
            for key, labels in state.items()
            if key.startswith("labels.")
        }
