"""Simple components for tests of other components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latte.api import (
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
    """Prototypes that always equal the zero-shot classifier."""

    _features: Tensor

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier."""
        self._features = start.class_features

    def classifier(self) -> Classifier:
        """Return the zero-shot classifier."""
        return Classifier(self._features, torch.arange(len(self._features)))

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return the prototype of each label as target, (B, D), and the classifier."""
        classifier = self.classifier()
        return Supervision(stream, classifier.weights[stream.labels], classifier)

    def state(self) -> dict[str, Tensor]:
        """Return an empty state, because the prototypes do not change."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing, because the state is empty."""


class EchoDescriber(Describer[NoOptions]):
    """Describer that answers with the prompt and the keys of the images."""

    max_images = 4

    @property
    def fingerprint(self) -> str:
        """Constant identifier, because the describer has no options."""
        return "echo-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return one text per request: its prompt and the keys of its images."""
        return [
            f"{request.prompt} {[image.key for image in request.images]}" for request in requests
        ]
