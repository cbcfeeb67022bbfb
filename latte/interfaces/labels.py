"""Pseudo-labelers assign a class and a weight to each training image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.prototypes import PrototypeAggregator
from latte.interfaces.training import (
    Batch,
    EpochInfo,
    FeatureBank,
    LabelStream,
    Posterior,
    TrainingStart,
)

if TYPE_CHECKING:
    from torch import Tensor

Refresh = Literal["never", "epoch", "step"]


class PseudoLabeler(Component[OptionsT]):
    """Assigns pseudo-labels; one labeler serves all learners, so it can compare them.

    Example:
        >>> from latte.api import NoOptions, PseudoLabeler, full_stream
        >>> class Nearest(PseudoLabeler[NoOptions]):
        ...     def assign(self, batch, image_features, aggregator):
        ...         labels = aggregator.similarities(image_features).argmax(dim=1)
        ...         return [full_stream("nearest", labels, image_features, scale=1.0)]
    """

    refresh: Refresh = "step"
    """`epoch`: `on_epoch_start` runs before every epoch. `never`, `step`: it runs once, at the
    start; with `step`, `assign` computes new labels in each step."""
    needs_feature_banks: bool = False
    """True if `on_epoch_start` needs the features of the whole training set by every learner."""

    def start(self, start: TrainingStart) -> None:
        """Prepare the labeler; called once, before anything else."""

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Use all learners' features; mappings are by learner name.

        `banks` is empty unless `needs_feature_banks` is true.
        """
        return EpochInfo()

    def posterior(self, learner: str) -> Posterior | None:
        """Return the classes of all training images, if the labeler decides them together.

        Valid after `on_epoch_start`, for the learner of that name; None for a labeler that decides
        each image alone. The engine calls it only in runs without a training step, because training
        changes the features. All learners have equal features then, so it asks for the first one.
        The last posterior counts if several labelers return one.
        """
        return None

    @abstractmethod
    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return label streams for detached features (B, D) of the learner `batch.learner`."""

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that `load_state` needs to continue exactly."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; called after `start`."""
