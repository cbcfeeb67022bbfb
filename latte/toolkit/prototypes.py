"""Prototypes that come from a labeler in each epoch, or are estimated once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces import (
    Classifier,
    EpochInfo,
    LabelStream,
    NoOptions,
    OptionsT,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)


class LabelerPrototypes(PrototypeAggregator[NoOptions]):
    """Prototypes that a labeler returns in each epoch; the zero-shot classifier until then.

    The labeler's classifier is used unchanged. It may have rows of any norm, several rows per
    class, a bias, and a row of "none of these". If several labelers return a classifier, the last
    one is used.

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
        """Return the classifier and the targets (B, D) of B images.

        A target is the classifier's row for the image's label, scaled to unit length. If a class
        has several rows, the row with the highest score for the image is used.
        """
        rows = self._rows_of(stream.labels, image_features)
        targets = normalize(self._classifier.weights[rows], dim=1)
        return Supervision(stream, targets, self._classifier)

    def _rows_of(self, labels: Tensor, image_features: Tensor) -> Tensor:
        classifier = self._classifier
        if len(classifier.owners) == classifier.classes:
            return classifier.owners.argsort()[labels]
        scores = image_features.to(classifier.weights) @ classifier.weights.T
        if classifier.bias is not None:
            scores = scores + classifier.bias
        return scores.masked_fill(labels.unsqueeze(1) != classifier.owners, -torch.inf).argmax(
            dim=1
        )

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Replace the classifier by `info.classifiers[learner]`, if a labeler returned one."""
        classifier = info.classifiers.get(learner)
        if classifier is not None:
            self._take(classifier)

    def state(self) -> dict[str, Tensor]:
        """Return the classifier's rows, the class of each row (`owners`), any bias and none."""
        parts = vars(self._classifier).items()
        return {name: part.clone() for name, part in parts if part is not None}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        bias, none = state.get("bias"), state.get("none")
        self._take(Classifier(state["weights"], state["owners"], bias, none))

    def _take(self, classifier: Classifier) -> None:
        weights = classifier.weights.detach().to(self.context.device)
        optional = (classifier.bias, classifier.none)
        self._classifier = Classifier(
            weights,
            classifier.owners.to(weights.device),
            *(None if part is None else part.detach().to(weights) for part in optional),
        )


class EstimatedPrototypes(PrototypeAggregator[OptionsT]):
    """Base class of prototypes that are estimated once, from frozen features, and never change.

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
        """Return the prototype of each image's label as its target (B, D). `texts` is not used."""
        targets = self._prototypes[stream.labels]
        return Supervision(stream, targets, self.classifier())

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)


def shift_to_texts(image_features: Tensor, class_features: Tensor) -> Tensor:
    """Return the modality gap (D,): mean text feature minus mean image feature.

    CLIP's image features (N, D) and class texts (C, D) form two separate cones (Liang et al. 2022,
    NeurIPS: Mind the gap). Adding the gap to image features moves them to the texts. A prototype
    computed from unshifted image features would be nearer to every image than the prototype of a
    class without images, which is a text.

    Example:
        >>> import torch
        >>> from latte.api import shift_to_texts
        >>> images, texts = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> images + shift_to_texts(images, texts)
        tensor([[0., 1.]])
    """
    return class_features.to(image_features).mean(dim=0) - image_features.mean(dim=0)
