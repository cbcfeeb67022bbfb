"""Prototypes that a labeler finds once an epoch (ReCLIP's visual learner, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte.api import (
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

    They carry no gradient and do not move within an epoch.
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
        """All prototypes as class weights (C, D); `texts` is not read."""
        classifier = self.classifier()
        return Supervision(stream, class_weights=classifier.weights, owners=classifier.owners)

    def end_round(self, info: RoundInfo, learner: str) -> None:
        """Take this learner's centroids, where the labeler found some."""
        found = info.centroids.get(learner)
        if found is not None:
            self._prototypes = found.detach().to(self._prototypes)

    def state(self) -> dict[str, Tensor]:
        """The prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)


def class_centroids(nodes: Tensor, labels: Tensor, counted: Tensor, texts: Tensor) -> Tensor:
    """Unit means (C, D) of the unit rows `nodes` (n, D) that have each class's label (n,).

    Only rows that are `counted` (n,) matter; a class without any keeps its row of `texts` (C, D).
    """
    sums = torch.zeros_like(texts).index_add_(0, labels[counted], nodes[counted])
    lengths = sums.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, sums / lengths, texts)
