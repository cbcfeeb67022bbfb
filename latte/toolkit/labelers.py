"""Base class of labelers that label all training images together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from latte.interfaces import (
    Batch,
    Classifier,
    EpochInfo,
    FeatureBank,
    LabelStream,
    OptionsT,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
)

_STORED = 5
"""A posterior has at most this many classes per image, the most probable ones."""
_ROUNDING = 1e-3
"""If no row of probabilities lacks more than this of 1, each image shows one of the classes."""


@dataclass(frozen=True)
class JointLabels:
    """Labels that one learner's features give to all N training images.

    Attributes:
        labels: (N,) int64: the class of each image.
        weights: (N,) floats in [0, 1]: 0 leaves the image out.
        classifier: Classifier of new images, which the prototypes `from-labeler` use, if any.
        posterior: Probable classes of each image, which latte stores and reports, if any.

    Example:
        >>> import torch
        >>> from latte.api import JointLabels
        >>> JointLabels(torch.tensor([1, 0]), weights=torch.ones(2)).posterior is None
        True
    """

    labels: Tensor
    weights: Tensor
    classifier: Classifier | None = None
    posterior: Posterior | None = None

    @classmethod
    def from_probabilities(
        cls, probabilities: Tensor, classifier: Classifier | None = None
    ) -> JointLabels:
        """Return the most probable classes, with weight 1, and a posterior of at most five classes.

        Args:
            probabilities: (N, C): class probabilities of each image. What a row lacks of 1 is the
                probability that the image shows none of the classes.
            classifier: classifier of new images, if any.

        Example:
            >>> import torch
            >>> from latte.api import JointLabels
            >>> JointLabels.from_probabilities(torch.tensor([[0.2, 0.8]])).labels
            tensor([1])
        """
        best = probabilities.topk(min(_STORED, probabilities.shape[1]), dim=1)
        lacking = (1 - probabilities.sum(dim=1)).clamp(0, 1).cpu()
        none = lacking if bool((lacking > _ROUNDING).any()) else None
        posterior = Posterior(best.indices.cpu(), best.values.cpu(), none)
        weights = torch.ones_like(posterior.probabilities[:, 0])
        return cls(posterior.labels[:, 0], weights, classifier, posterior)


class JointLabeler(PseudoLabeler[OptionsT]):
    """Base class of labelers that label all images together, at the start of every epoch.

    A subclass implements `label`. This class stores the labels, returns those of a batch, and
    saves and restores them, so that a run can resume within an epoch.

    Attributes:
        stream: Name of the label stream.
        training: Input of the labeler, which `start` stores.

    Example:
        >>> from typing import Any
        >>> import torch
        >>> from torch import Tensor
        >>> from latte.api import (
        ...     Classifier,
        ...     JointLabeler,
        ...     JointLabels,
        ...     NoOptions,
        ...     PrototypeAggregator,
        ... )
        >>> class Nearest(JointLabeler[NoOptions]):
        ...     stream = "nearest"
        ...
        ...     def label(
        ...         self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
        ...     ) -> JointLabels:
        ...         texts = self.training.class_features.to(features)
        ...         scale = self.context.frozen_clip().logit_scale
        ...         probabilities = (scale * features @ texts.T).softmax(dim=1)
        ...         owners = torch.arange(len(texts), device=texts.device)
        ...         return JointLabels.from_probabilities(probabilities, Classifier(texts, owners))
    """

    refresh: Refresh = "epoch"
    needs_feature_banks = True
    stream: ClassVar[str]
    training: TrainingStart

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the other inputs."""
        self.training = start
        self._joint: dict[str, JointLabels] = {}

    @property
    def scale(self) -> float:
        """Factor by which the stream's loss is multiplied; with 0 there is no stream."""
        return 1.0

    @abstractmethod
    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Return labels of all training images from a learner's features (N, D)."""

    def combine(self, labels: Mapping[str, JointLabels]) -> Mapping[str, JointLabels]:
        """Return the labels of each learner, after a comparison of all learners, if any."""
        return labels

    @torch.no_grad()
    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Label all images per learner; return the learners' classifiers."""
        labels = self.combine(
            {
                name: self.label(name, bank.features, aggregators[name])
                for name, bank in banks.items()
            }
        )
        self._joint = {
            name: JointLabels(
                joint_labels.labels.cpu(),
                joint_labels.weights.cpu(),
                posterior=joint_labels.posterior,
            )
            for name, joint_labels in labels.items()
        }
        classifiers = {name: joint_labels.classifier for name, joint_labels in labels.items()}
        return EpochInfo(
            {name: classifier for name, classifier in classifiers.items() if classifier is not None}
        )

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return one label stream, `stream`, with labels and posterior of the epoch's start."""
        if self.scale == 0:
            return []
        joint_labels = self._joint[batch.learner]
        labels = joint_labels.labels[batch.indices].to(image_features.device, non_blocking=True)
        weights = joint_labels.weights[batch.indices].to(image_features, non_blocking=True)
        posterior = joint_labels.posterior
        if posterior is not None:
            rows = (posterior.labels[batch.indices], posterior.probabilities[batch.indices])
            device = image_features.device
            posterior = Posterior(*(part.to(device, non_blocking=True) for part in rows))
        return [LabelStream(self.stream, labels, weights, self.scale, posterior)]

    def posterior(self, learner: str) -> Posterior | None:
        """Return the learner's posterior of all images, of the epoch's start; None without one."""
        joint_labels = self._joint.get(learner)
        return None if joint_labels is None else joint_labels.posterior

    def state(self) -> dict[str, Tensor]:
        """Return each learner's labels (N,), weights (N,) and posterior (N, K) of this epoch."""
        state: dict[str, Tensor] = {}
        for name, joint_labels in self._joint.items():
            state |= {
                f"labels.{name}": joint_labels.labels,
                f"weights.{name}": joint_labels.weights,
            }
            if (posterior := joint_labels.posterior) is not None:
                state[f"classes.{name}"] = posterior.labels
                state[f"probabilities.{name}"] = posterior.probabilities
                if posterior.none is not None:
                    state[f"none.{name}"] = posterior.none
        return {key: tensor.clone() for key, tensor in state.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        names = [key.removeprefix("labels.") for key in state if key.startswith("labels.")]
        self._joint = {name: _restored(name, state) for name in names}


def _restored(name: str, state: Mapping[str, Tensor]) -> JointLabels:
    labels, weights = state[f"labels.{name}"].cpu(), state[f"weights.{name}"].cpu()
    if f"classes.{name}" not in state:
        return JointLabels(labels, weights)
    classes, probabilities = state[f"classes.{name}"], state[f"probabilities.{name}"]
    none = state.get(f"none.{name}")
    posterior = Posterior(classes.cpu(), probabilities.cpu(), None if none is None else none.cpu())
    return JointLabels(labels, weights, posterior=posterior)
