"""Components that do nothing remarkable, for those that need company."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latte.interfaces import (
    Classifier,
    Describer,
    DescribeRequest,
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
        return Supervision(stream, own.weights[stream.labels], own)

    def state(self) -> dict[str, Tensor]:
        """Nothing changes, so nothing is kept."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """There is nothing to restore."""


class EchoDescriber(Describer[NoOptions]):
    """Answers with the question and the keys of the images: what was asked can be read off."""

    max_images = 4

    @property
    def fingerprint(self) -> str:
        """There is nothing to set."""
        return "echo-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """One text for each request."""
        return [f"{one.prompt} {[image.key for image in one.images]}" for one in requests]
