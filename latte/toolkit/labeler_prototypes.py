"""Prototypes that a labeler estimates once per epoch, as in ReCLIP and in transductive methods."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces import (
    Classifier,
    EpochInfo,
    LabelStream,
    NoOptions,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)


class LabelerPrototypes(PrototypeAggregator[NoOptions]):
    """Zero-shot classifier at first, then the classifier that a labeler returns in each epoch.

    The labeler's classifier is used unchanged: rows of any norm, several per class, and a bias. It
    carries no gradient and is constant within an epoch. If several labelers return a classifier,
    the last one is used; if no labeler does, the zero-shot classifier stays.

    Example:
        >>> from latte.api import LabelerPrototypes
        >>> class OfMyLabeler(LabelerPrototypes):
        ...     pass
    """

    _classifier: Classifier

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first classifier."""
        rows = start.class_features.detach()
        self._take(Classifier(rows, torch.arange(len(rows))))

    def classifier(self) -> Classifier:
        """Return the current classifier."""
        return self._classifier

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return the classifier, and targets (B, D): the row of each label, scaled to unit length.

        If a class has several rows, the target is the row with the highest score for the image.
        `texts` is not used.
        """
        rows = self._rows_of(stream.labels, image_features)
        targets = normalize(self._classifier.weights[rows], dim=1)
        return Supervision(stream, targets, self._classifier)

    def _rows_of(self, labels: Tensor, image_features: Tensor) -> Tensor:
        """Return the index of the classifier row to use for each label, (B,)."""
        own = self._classifier
        if len(own.owners) == own.classes:
            return own.owners.argsort()[labels]
        scores = image_features.to(own.weights) @ own.weights.T
        if own.bias is not None:
            scores = scores + own.bias
        return scores.masked_fill(labels.unsqueeze(1) != own.owners, -torch.inf).argmax(dim=1)

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Use the classifier that a labeler returned for `learner`, if there is one."""
        found = info.classifiers.get(learner)
        if found is not None:
            self._take(found)

    def state(self) -> dict[str, Tensor]:
        """Return the classifier's rows (C·K, D), owners (C·K,) and bias (C·K,), if it has one."""
        own = self._classifier
        state = {"weights": own.weights.clone(), "owners": own.owners.clone()}
        return state if own.bias is None else state | {"bias": own.bias.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._take(Classifier(state["weights"], state["owners"], state.get("bias")))

    def _take(self, classifier: Classifier) -> None:
        weights, bias = classifier.weights.detach().to(self.context.device), classifier.bias
        owners = classifier.owners.to(weights.device)
        self._classifier = Classifier(
            weights, owners, None if bias is None else bias.detach().to(weights)
        )
