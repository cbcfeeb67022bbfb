"""Prototypes that are estimated once, before the first step, for adaptation without training."""

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
    """Base of prototypes that are estimated once, from frozen features, and do not change.

    A run with training steps uses them as fixed targets.

    Example:
        >>> from torch.nn.functional import normalize
        >>> from latte.api import EstimatedPrototypes, NoOptions
        >>> class ClassCentres(EstimatedPrototypes[NoOptions]):
        ...     def estimate(self, start):
        ...         sums = start.class_features.clone()
        ...         sums.index_add_(0, start.zero_shot_labels, start.image_features)
        ...         return normalize(sums, dim=1).to(self.context.device)
    """

    _prototypes: Tensor
    _owners: Tensor

    @abstractmethod
    def estimate(self, start: TrainingStart) -> Tensor:
        """Return one unit prototype per class (C, D), on the context's device, without gradient."""

    def start(self, start: TrainingStart) -> None:
        """Estimate the prototypes and store them."""
        self._prototypes = self.estimate(start)
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)

    def classifier(self) -> Classifier:
        """Return the estimated prototypes (C, D)."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets (B, D): the prototype of each label. `texts` is not used."""
        targets = self._prototypes[stream.labels]
        return Supervision(stream, targets, self.classifier())

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)


def shift_to_texts(image_features: Tensor, class_features: Tensor) -> Tensor:
    """Return mean text feature minus mean image feature, (D,), to shift images to the texts.

    CLIP's image features (N, D) and class texts (C, D) form two separate cones (Liang et al. 2022,
    NeurIPS: Mind the gap). Without the shift, a prototype that moves towards images would be nearer
    to every image than the prototype of a class without images.

    Example:
        >>> import torch
        >>> from latte.api import shift_to_texts
        >>> images, texts = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> images + shift_to_texts(images, texts)
        tensor([[0., 1.]])
    """
    return class_features.to(image_features).mean(dim=0) - image_features.mean(dim=0)
