"""Prototypes that are estimated before the first step, for adaptation without training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from latte.interfaces import (
    Classifier,
    LabelStream,
    OptionsT,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)


class EstimatedPrototypes(PrototypeAggregator[OptionsT]):
    """Estimated once, from frozen features; a run with steps trains towards them as they are."""

    _prototypes: Tensor
    _owners: Tensor

    @abstractmethod
    def estimate(self, start: TrainingStart) -> Tensor:
        """One unit prototype a class (C, D), on the context's device, without gradient."""

    def start(self, start: TrainingStart) -> None:
        """Estimate the prototypes."""
        self._prototypes = self.estimate(start)
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)

    def classifier(self) -> Classifier:
        """The prototypes (C, D), which do not change any more."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Targets (B, D): the prototype of each label, whatever is written about the images."""
        targets = self._prototypes[stream.labels]
        return Supervision(stream, targets, self.classifier())

    def state(self) -> dict[str, Tensor]:
        """The prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)


def shift_to_texts(image_features: Tensor, class_features: Tensor) -> Tensor:
    """What moves images (N, D) to where class texts (C, D) are: the difference of their means (D,).

    Image and text features lie in cones of their own (Liang et al. 2022, NeurIPS: Mind the gap). A
    prototype that is pulled towards images as they stand would be nearer to every image than that
    of a class without images.
    """
    return class_features.to(image_features).mean(dim=0) - image_features.mean(dim=0)
