"""Data types that labelers, prototypes and losses exchange during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latte.interfaces.classifier import Classifier
from latte.interfaces.questions import Questions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FeatureBank:
    """Features of all training images from one learner; row i belongs to training image i.

    Example:
        >>> import torch
        >>> from latte.api import FeatureBank
        >>> FeatureBank(torch.eye(4)).features.shape
        torch.Size([4, 4])
    """

    features: Tensor
    """(N, D), L2-normalised, without gradient, on the run's device; images go through the
    evaluation transform."""


def _no_names(names: Sequence[str]) -> Tensor:
    """Raise `RuntimeError`, because this start has no text tower."""
    raise RuntimeError("this `TrainingStart` was made without `encode_names`")


def _no_texts(labels: Tensor) -> Mapping[str, Tensor]:
    """Return no texts, as in a recipe without descriptions."""
    return {}


@dataclass(frozen=True)
class TrainingStart:
    """Data known before the first training step, computed by the frozen CLIP only.

    Example:
        >>> import torch
        >>> from latte.api import TrainingStart
        >>> images, texts = torch.eye(3)[[0, 1, 1]], torch.eye(3)[:2]
        >>> start = TrainingStart(
        ...     class_names=("cat", "dog"), class_features=texts, image_features=images,
        ...     zero_shot_labels=(images @ texts.T).argmax(dim=1),
        ...     description_features=lambda name: images,
        ... )
        >>> start.zero_shot_labels
        tensor([0, 1, 1])
    """

    class_names: tuple[str, ...]
    class_features: Tensor
    """(C, D): the zero-shot classifier, one unit row per class."""
    image_features: Tensor
    """(N, D): frozen unit features of the training images, from the evaluation transform."""
    zero_shot_labels: Tensor
    """(N,) int64: the top-1 zero-shot class of each training image."""
    description_features: Callable[[str], Tensor]
    """Returns the frozen CLIP's text features (N, D) of the named description, encoded at the first
    call. Row i belongs to training image i. For scope `group`, row i is the feature of the text
    drawn for the image; if an image has several texts, row i is their normalised mean feature."""
    texts: Callable[[Tensor], Mapping[str, Tensor]] = _no_texts
    """Returns the argument `texts` of `PrototypeAggregator.supervise` for labels (N,) of all
    training images: frozen features (N, D) by description name, in the recipe's order. Texts of
    scope `class` follow the labels; features of other scopes equal `description_features`. Texts
    are encoded at the first call."""
    description_weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each description, by name, when an aggregator mixes texts; 1 for absent names."""
    corrections: Tensor | None = None
    """(N,) int64, on the run's device: classes that a person gave to images, and -1 elsewhere; None
    if the recipe has no corrections. The engine puts them into all label streams. A labeler may
    also use them to label other images."""
    questions: Questions | None = None
    """Questions to a describer, for `on_epoch_start`; None unless a labeler's options name the
    describer that it asks (`Options.questions_to`)."""
    encode_names: Callable[[Sequence[str]], Tensor] = _no_names
    """Returns the frozen CLIP's unit features (K, D) of K other names or short descriptions of
    classes, in the dataset's templates; for labelers with `questions`."""


@dataclass(frozen=True)
class Batch:
    """Batch of training images for one step of one learner.

    Example:
        >>> import torch
        >>> from latte.api import Batch
        >>> Batch("main", indices=torch.tensor([3, 0]), epoch=0, step=1).learner
        'main'
    """

    learner: str
    indices: Tensor
    """(B,) int64, on the CPU: indices of training images."""
    epoch: int
    step: int


@dataclass(frozen=True)
class LabelStream:
    """Pseudo-labels of a batch from one source; LatteCLIP has the streams `frozen` and `current`.

    Example:
        >>> import torch
        >>> from latte.api import LabelStream
        >>> LabelStream("frozen", labels=torch.tensor([1, 0]), weights=torch.ones(2)).scale
        1.0
    """

    name: str
    labels: Tensor
    """(B,) int64 class indices."""
    weights: Tensor
    """(B,) in [0, 1]: 0 excludes an image from the loss and from the prototypes."""
    scale: float = 1.0
    """Factor of this stream's loss."""


def full_stream(name: str, labels: Tensor, image_features: Tensor, scale: float) -> LabelStream:
    """Return the stream `name` of `labels` (B,) with weight 1 for each of B samples.

    The weights have the device and dtype of `image_features` (B, D). `scale` multiplies the
    stream's loss.

    Example:
        >>> import torch
        >>> from latte.api import full_stream
        >>> full_stream("nearest", torch.tensor([1, 0]), torch.eye(2), scale=0.5).weights
        tensor([1., 1.])
    """
    return LabelStream(name, labels, image_features.new_ones(len(labels)), scale)


@dataclass(frozen=True)
class EpochInfo:
    """Results of a labeler at the start of an epoch, for the aggregators.

    Example:
        >>> import torch
        >>> from latte.api import Classifier, EpochInfo
        >>> info = EpochInfo({"main": Classifier(torch.eye(2), torch.arange(2))})
        >>> [*info.classifiers]
        ['main']
    """

    classifiers: Mapping[str, Classifier] = field(default_factory=dict)
    """Classifiers for unseen images, by learner name and without gradient; for aggregators that use
    a labeler's classifier."""


@dataclass(frozen=True)
class Posterior:
    """The most probable classes of each of the N training images, with their probabilities.

    A labeler computes them from all images together. Both tensors are on the CPU.

    Example:
        >>> import torch
        >>> from latte.api import Posterior
        >>> labels, probabilities = torch.tensor([[2, 0]]), torch.tensor([[0.7, 0.2]])
        >>> posterior = Posterior(labels, probabilities)  # one image and its two best classes
        >>> posterior.labels[:, 0]  # most probable class of each image
        tensor([2])
    """

    labels: Tensor
    """(N, K) int64: the K most probable classes of each image, the most probable first."""
    probabilities: Tensor
    """(N, K) floats: probabilities of `labels`; with those of all other classes, they sum to 1."""
