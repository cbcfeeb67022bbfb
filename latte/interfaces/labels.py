"""Interface of pseudo-labelers, which assign a class and a weight to each training image."""

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
    """Assigns pseudo-labels: a class and a weight per training image. Learners share the labeler.

    Attributes:
        refresh: When the engine calls `on_epoch_start`. `epoch`: before every epoch. `never`: once,
            before the first epoch; labels then stay fixed. `step`: once, before the first epoch,
            and `assign` also computes new labels in each step.
        needs_feature_banks: True if `on_epoch_start` needs the features of all training images from
            every learner.

    Example:
        >>> from typing import Any
        >>> from torch import Tensor
        >>> from latte.api import (
        ...     Batch,
        ...     LabelStream,
        ...     NoOptions,
        ...     PrototypeAggregator,
        ...     PseudoLabeler,
        ...     full_stream,
        ... )
        >>> class Nearest(PseudoLabeler[NoOptions]):
        ...     def assign(
        ...         self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
        ...     ) -> list[LabelStream]:
        ...         labels = aggregator.similarities(image_features).argmax(dim=1)
        ...         return [full_stream("nearest", labels, image_features, scale=1.0)]
    """

    refresh: Refresh = "step"
    needs_feature_banks: bool = False

    def start(self, start: TrainingStart) -> None:
        """Prepare the labeler; called once, before all other methods."""

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Compute labels from all learners' features; return classifiers for the aggregators.

        Keys of `banks` and `aggregators` are learner names; `banks` is empty unless
        `needs_feature_banks` is True. A run that resumes within an epoch calls `start` and
        `load_state`, but not this method, so `state` must return what `assign` needs.
        """
        return EpochInfo()

    def posterior(self, learner: str) -> Posterior | None:
        """Return the posterior of all training images, on the CPU; None if there is none.

        Override this method only if the labeler labels all images jointly. The engine calls it
        after `on_epoch_start`, with the name of the first learner, and only if it takes no training
        step. If several labelers return a posterior, the engine uses the last one.
        """
        return None

    @abstractmethod
    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the labels and weights of `batch`, one `LabelStream` per source of labels.

        `image_features` (B, D) are the learner's features of the batch, detached. Labels and
        weights are on the device of `image_features`; `batch.indices` are on the CPU.
        """

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that `load_state` needs to resume exactly."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; called after `start`."""
