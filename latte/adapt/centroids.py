"""Prototypes that a labeler finds once an epoch, as ReCLIP's and transductive ones do."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte.interfaces import (
    Classifier,
    LabelStream,
    NoOptions,
    PrototypeAggregator,
    RoundInfo,
    Supervision,
    TrainingStart,
)


class CentroidPrototypes(PrototypeAggregator[NoOptions]):
    """One prototype a class: zero-shot at first, then the centroids of each new round.

    They carry no gradient and do not move within an epoch. Of several labelers
    the last to report centroids counts; where none does, the zero-shot classifier stays.
    """

    _prototypes: Tensor

    def start(self, start: TrainingStart) -> None:
        """Begin with the zero-shot classifier."""
        self._prototypes = start.class_features.detach().to(self.context.device)

    def classifier(self) -> Classifier:
        """The prototypes (C, D) now."""
        owners = torch.arange(len(self._prototypes), device=self._prototypes.device)
        return Classifier(self._prototypes, owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Targets (B, D): the labels' prototypes; class weights: all. `texts` is not read."""
        own = self.classifier()
        return Supervision(stream, own.weights[stream.labels], own.weights, own.owners)

    def end_round(self, info: RoundInfo, learner: str) -> None:
        """Take this learner's centroids, where a labeler found some."""
        found = info.centroids.get(learner)
        if found is not None:
            self._prototypes = found.detach().to(self._prototypes)

    def state(self) -> dict[str, Tensor]:
        """The prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)
