"""Pseudo-labels: which class is this image, for now, and how sure are we?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from latte.interfaces.classifier import Classifier
from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from torch import Tensor

    from latte.interfaces.prototypes import PrototypeAggregator

Refresh = Literal["never", "epoch", "step"]


@dataclass(frozen=True)
class FeatureBank:
    """One learner's features of the whole training set; row i belongs to training image i."""

    features: Tensor
    """(N, D), L2-normalised, from the evaluation transform, without gradient."""


def _no_texts(labels: Tensor) -> Mapping[str, Tensor]:
    """What a recipe without descriptions has to say about its images."""
    return {}


@dataclass(frozen=True)
class TrainingStart:
    """What is known before the first step, from the frozen CLIP alone."""

    class_names: tuple[str, ...]
    class_features: Tensor
    """(C, D): the zero-shot classifier, one unit row a class."""
    image_features: Tensor
    """(N, D): frozen unit features of the training images, evaluation transform."""
    frozen_labels: Tensor
    """(N,) int64: the top-1 zero-shot class of each training image."""
    description_features: Callable[[str], Tensor]
    """Frozen text features (N, D) of the named description: row i is what the engine would use for
    training image i. Encoded at the first call; a group's text is the one drawn for that image, and
    several texts about an image are one: the unit vector along the mean of their features."""
    texts: Callable[[Tensor], Mapping[str, Tensor]] = _no_texts
    """For labels (N,) of all training images, what `supervise` would get as its `texts` for them:
    by name, each description's frozen features (N, D), in the recipe's order. Scope `class` follows
    the labels; the others are those of `description_features`. Encoded at the first call."""
    description_weights: Mapping[str, float] = field(default_factory=dict)
    """By description name: how much it counts where an aggregator mixes texts; 1 if not named."""


@dataclass(frozen=True)
class Batch:
    """Which training images a step sees, and for which learner."""

    learner: str
    indices: Tensor
    """(B,) int64, on the CPU: rows of the training set."""
    epoch: int
    step: int


@dataclass(frozen=True)
class LabelStream:
    """One opinion about a batch. LatteCLIP has two: frozen zero-shot and current."""

    name: str
    labels: Tensor
    """(B,) int64 class indices."""
    weights: Tensor
    """(B,) in [0, 1]: 0 leaves a sample out of the loss and of the prototypes."""
    scale: float = 1.0
    """Multiplies this stream's loss."""


@dataclass(frozen=True)
class RoundInfo:
    """What a labeler learnt at the start of an epoch, for the aggregators."""

    classifiers: Mapping[str, Classifier] = field(default_factory=dict)
    """By learner name: what the labeler would classify unseen images with, without gradient; for
    aggregators that take it."""


@dataclass(frozen=True)
class Posterior:
    """Classes of the N training images, decided together by a labeler, on the CPU."""

    labels: Tensor
    """(N, K) int64: each image's K most probable classes, the most probable first."""
    probabilities: Tensor
    """(N, K) floats: their probabilities, which need not sum to 1, as further classes have some."""


class PseudoLabeler(Component[OptionsT]):
    """Gives pseudo-labels; one labeler serves all learners, so it may compare them."""

    refresh: Refresh = "step"
    """How often `begin_round` runs: once at the start, or before every epoch (`step`: `assign`
    works everything out, and `begin_round` runs once)."""
    needs_feature_banks: bool = False
    """Whether `begin_round` wants every learner's features of the whole training set."""

    def start(self, start: TrainingStart) -> None:
        """Called once, before anything else."""

    def begin_round(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> RoundInfo:
        """Look at all learners' features; both mappings are by name, banks only if asked for."""
        return RoundInfo()

    def posterior(self, learner: str) -> Posterior | None:
        """Return the classes of the training images, where the labeler decides them together.

        Valid after `begin_round`, for the `learner` of that name; None for a labeler that answers
        image by image. The engine asks in runs without a training step, as features move on in
        others. Of several labelers the last that returns one counts. All learners have equal frozen
        features then, so only the first learner is asked for.
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
