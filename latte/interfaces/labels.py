"""Pseudo-labels: which class is this image, for now, and how sure are we?"""

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
    """Gives pseudo-labels; one labeler serves all learners, so it may compare them."""

    refresh: Refresh = "step"
    """How often `on_epoch_start` runs: once at the start, or before every epoch (`step`: `assign`
    works everything out, and `on_epoch_start` runs once)."""
    needs_feature_banks: bool = False
    """Whether `on_epoch_start` wants every learner's features of the whole training set."""

    def start(self, start: TrainingStart) -> None:
        """Called once, before anything else."""

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Look at all learners' features; both mappings are by name, banks only if asked for."""
        return EpochInfo()

    def posterior(self, learner: str) -> Posterior | None:
        """Return the classes of the training images, where the labeler decides them together.

        Valid after `on_epoch_start`, for the `learner` of that name; None for a labeler that
        answers image by image. The engine asks only in runs without a training step, because
        training changes the features. Of several labelers the last that returns one counts. All
        learners have equal frozen features then, so the engine asks for the first learner only.
        """
        return None

    @abstractmethod
    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Label streams for features (B, D) (detached) of the learner `batch.learner`."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold so that `load_state` continues exactly."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned; `start` has been called before."""
