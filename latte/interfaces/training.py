"""What labelers, prototypes and losses exchange during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latte.interfaces.classifier import Classifier

if TYPE_CHECKING:
    from torch import Tensor


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
    zero_shot_labels: Tensor
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
class EpochInfo:
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
