"""Components that do nothing remarkable, for those that need company."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte.interfaces import (
    Classifier,
    LabelStream,
    NoOptions,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)


class FixedPrototypes(PrototypeAggregator[NoOptions]):
    """The zero-shot classifier, for ever."""

    _features: Tensor

    def start(self, start: TrainingStart) -> None:
        """Begin with the zero-shot classifier."""
        self._features = start.class_features

    def classifier(self) -> Classifier:
        """What it began with."""
        return Classifier(self._features, torch.arange(len(self._features)))

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Targets are the labels' rows."""
        own = self.classifier()
        return Supervision(stream, own.weights[stream.labels], own.weights, own.owners)

    def state(self) -> dict[str, Tensor]:
        """Nothing changes, so nothing is kept."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """There is nothing to restore."""
