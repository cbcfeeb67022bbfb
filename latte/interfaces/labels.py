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
    """Assigns pseudo-labels. All learners share one labeler, so it can compare the learners.

    Example:
        >>> from latte.api import NoOptions, PseudoLabeler, full_stream
        >>> class Nearest(PseudoLabeler[NoOptions]):
        ...     def assign(self, batch, image_features, aggregator):
        ...         labels = aggregator.similarities(image_features).argmax(dim=1)
        ...         return [full_stream("nearest", labels, image_features, scale=1.0)]
    """

    refresh: Refresh = "step"
    """`epoch`: `on_epoch_start` runs before every epoch. `never` and `step`: `on_epoch_start` runs
    once, at the start; with `step`, `assign` computes new labels in each step."""
    needs_feature_banks: bool = False
    """True if `on_epoch_start` needs every learner's features of the whole training set."""

    def start(self, start: TrainingStart) -> None:
        """Prepare the labeler; called once, before all other methods."""

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Compute labels from the features of all learners; return results for the aggregators.

        Keys of `banks` and `aggregators` are learner names. `banks` is empty unless
        `needs_feature_banks` is True. A run that resumes within an epoch calls `start` and
        `load_state`, and not this method, so `state` must return what `assign` needs.
        """
        return EpochInfo()

    def posterior(self, learner: str) -> Posterior | None:
        """Return the class probabilities of all training images, or None if there are none.

        Only a labeler that labels all images jointly has a posterior. The result is valid after
        `on_epoch_start`, for the named learner. Training would change the features, so the engine
        calls this method only in runs without training steps. In such runs all learners have equal
        features, so the engine asks for the first learner only. If several labelers return a
        posterior, the engine uses the last one.
        """
        return None

    @abstractmethod
    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the label streams of `batch`; `image_features` (B, D) are detached.

        Labels and weights are on the device of `image_features`; `batch.indices` are on the CPU.
        """

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that `load_state` needs to resume exactly."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; called after `start`."""
