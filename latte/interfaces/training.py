"""Interface `Trainable`, and data that labelers, prototype aggregators and losses exchange."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latte.interfaces.backbone import Backbone
from latte.interfaces.classifier import Classifier
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.questions import Questions

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FeatureBank:
    """Features of all training images from one learner; row i belongs to training image i.

    Attributes:
        features: (N, D), L2-normalised, without gradient, on the run's device; computed with the
            evaluation transform.

    Example:
        >>> import torch
        >>> from latte.api import FeatureBank
        >>> FeatureBank(torch.eye(4)).features.shape
        torch.Size([4, 4])
    """

    features: Tensor


def _no_names(names: Sequence[str]) -> Tensor:
    raise RuntimeError("this `TrainingStart` was made without `encode_names`")


def _no_texts(labels: Tensor) -> Mapping[str, Tensor]:
    return {}


@dataclass(frozen=True)
class ModelAnswers:
    """Classes that a large multimodal model gave to training images in an earlier run.

    Attributes:
        classes: (N,) int64, on the run's device: the class of each image, or -1 for no answer.
            Images whose class a person gave have none.
        reliabilities: (N,) in [0, 1), on the run's device: probability that the answer is right; 0
            for no answer.

    Example:
        >>> import torch
        >>> from latte.api import ModelAnswers
        >>> ModelAnswers(torch.tensor([2, -1]), torch.tensor([0.8, 0.0])).classes
        tensor([ 2, -1])
    """

    classes: Tensor
    reliabilities: Tensor


@dataclass(frozen=True)
class TrainingStart:
    """Input of labelers and aggregators before the first step, computed by the frozen CLIP.

    All tensors are on the run's device.

    Attributes:
        class_features: (C, D): the zero-shot classifier, one unit row per class.
        image_features: (N, D): frozen unit features of the training images, from the evaluation
            transform.
        zero_shot_labels: (N,) int64: the top-1 zero-shot class of each training image.
        description_features: Maps the name of a description to text features (N, D) of the frozen
            CLIP. Row i is the feature of the text about training image i, or about its group. If
            there are several texts, row i is their normalised mean. The first call encodes
            the texts.
        texts: Takes `labels` (N,), a class per training image. Returns the text features (N, D) of
            each description from the frozen CLIP, by name, in the recipe's order: a mapping like
            the argument `texts` of `PrototypeAggregator.supervise`. For a description of scope
            `class`, row i is the text feature of the class `labels[i]`. For other scopes, the
            features equal `description_features`. The first call encodes the texts.
        description_weights: Weight of each description, by name, for mixing texts; 1 if absent.
        corrections: (N,) int64, on the run's device: class that a person gave to the image, or -1;
            None if the recipe has no corrections. The engine puts these classes into all label
            streams; a labeler may use them to label other images.
        shows_none: (N,) bool, on the run's device: True if a person said that the image shows none
            of the classes; None if nobody said so of any image.
        model_answers: Uncertain answers of a model; None if the recipe's `corrections` have none. A
            labeler that knows no reliability ignores them.
        questions: Lets a labeler ask a describer, a model that looks at images, in
            `on_epoch_start`; None unless the options of a labeler name a describer
            (`Options.questions_to`).
        encode_names: Inserts K class names into the dataset's templates, and returns their unit
            text features (K, D) from the frozen CLIP. For labelers that get new names or short
            descriptions of classes through `questions`.
        encoder_features: Maps the name of each of the recipe's `encoders`, in the recipe's order,
            to unit features (N, E) of the training images from this image-only encoder. Encoders
            are never trained, and have no texts. Empty if the recipe has no encoder.
        image_keys: Content key of each of the N training images, a hash of its bytes, by which
            facts of an earlier run can be found; empty if the features come without images.

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
    image_features: Tensor
    zero_shot_labels: Tensor
    description_features: Callable[[str], Tensor]
    texts: Callable[[Tensor], Mapping[str, Tensor]] = _no_texts
    description_weights: Mapping[str, float] = field(default_factory=dict)
    corrections: Tensor | None = None
    shows_none: Tensor | None = None
    model_answers: ModelAnswers | None = None
    questions: Questions | None = None
    encode_names: Callable[[Sequence[str]], Tensor] = _no_names
    encoder_features: Mapping[str, Tensor] = field(default_factory=dict)
    image_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Batch of training images for one step of one learner.

    Attributes:
        indices: (B,) int64, on the CPU: indices of training images.

    Example:
        >>> import torch
        >>> from latte.api import Batch
        >>> Batch("main", indices=torch.tensor([3, 0]), epoch=0, step=1).learner
        'main'
    """

    learner: str
    indices: Tensor
    epoch: int
    step: int


@dataclass(frozen=True)
class LabelStream:
    """Pseudo-labels of a batch from one source. LatteCLIP has two: `frozen` and `current` labels.

    Attributes:
        labels: (B,) int64 class indices.
        weights: (B,) in [0, 1]: 0 excludes an image from the loss and from the prototypes.
        scale: Factor by which the engine multiplies the loss of this stream.
        posterior: Soft labels: probable classes of the B images, on the device of `labels`, for
            losses that use more than the label; None if there are none.

    Example:
        >>> import torch
        >>> from latte.api import LabelStream
        >>> LabelStream("frozen", labels=torch.tensor([1, 0]), weights=torch.ones(2)).scale
        1.0
    """

    name: str
    labels: Tensor
    weights: Tensor
    scale: float = 1.0
    posterior: Posterior | None = None


def full_stream(name: str, labels: Tensor, image_features: Tensor, scale: float) -> LabelStream:
    """Return a `LabelStream` of `labels` (B,) in which every label has weight 1.

    The weights have the device and dtype of `image_features` (B, D).

    Example:
        >>> import torch
        >>> from latte.api import full_stream
        >>> full_stream("nearest", torch.tensor([1, 0]), torch.eye(2), scale=0.5).weights
        tensor([1., 1.])
    """
    return LabelStream(name, labels, image_features.new_ones(len(labels)), scale)


@dataclass(frozen=True)
class EpochInfo:
    """Classifiers that a labeler returns at the start of an epoch, for prototype aggregators.

    Attributes:
        classifiers: Classifiers by learner name, without gradient, for use as prototypes. In a
            recipe without training steps, a labeler may add a classifier by the name of an encoder
            (`TrainingStart.encoder_features`), with rows (C, E). The adapted model then averages
            the similarities of all learners and of these encoders. An encoder without a
            classifier has no part in the model.

    Example:
        >>> import torch
        >>> from latte.api import Classifier, EpochInfo
        >>> info = EpochInfo({"main": Classifier(torch.eye(2), torch.arange(2))})
        >>> [*info.classifiers]
        ['main']
    """

    classifiers: Mapping[str, Classifier] = field(default_factory=dict)


@dataclass(frozen=True)
class Posterior:
    """The most probable classes of each of N images.

    Attributes:
        labels: (N, K) int64: the K most probable classes of each image, the most probable first.
        probabilities: (N, K) floats: probabilities of `labels`. A row sums to at most 1, because
            less probable classes are left out.
        none: (N,) floats: probability that the image shows none of the classes; None if the
            labeler does not estimate it.

    Example:
        >>> import torch
        >>> from latte.api import Posterior
        >>> labels, probabilities = torch.tensor([[2, 0]]), torch.tensor([[0.7, 0.2]])
        >>> posterior = Posterior(labels, probabilities)  # one image and its two best classes
        >>> posterior.labels[:, 0]  # most probable class of each image
        tensor([2])
    """

    labels: Tensor
    probabilities: Tensor
    none: Tensor | None = None


def check_posterior(posterior: Posterior, classes: int) -> None:
    """Raise `ValueError` if labels or probabilities of a posterior are impossible."""
    import torch

    if not isinstance(posterior, Posterior):
        raise ValueError(f"it is of type {type(posterior).__name__}, not Posterior")
    labels, probabilities = posterior.labels, posterior.probabilities
    if labels.dtype != torch.int64 or labels.ndim != 2 or not 1 <= labels.shape[1] <= classes:
        raise ValueError("its labels are not a matrix of classes")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")
    if not probabilities.is_floating_point() or probabilities.shape != labels.shape:
        raise ValueError("it does not have one probability for each label")
    is_probability = (probabilities >= 0) & (probabilities <= 1 + 1e-4)
    if not bool(is_probability.all()):
        raise ValueError("a probability is not between 0 and 1")
    if not bool((probabilities > 0).any(dim=1).all()):
        raise ValueError("an image has no probability above 0")
    if (none := posterior.none) is None:
        return
    if not none.is_floating_point() or none.shape != labels.shape[:1]:
        raise ValueError("it does not have one probability of no class for each image")
    if not bool(((none >= 0) & (none <= 1)).all()):
        raise ValueError("a probability of no class is not between 0 and 1")


class Trainable(Component[OptionsT]):
    """Chooses the trainable parameters of a learner's backbone; may also add parameters.

    Example:
        >>> from collections.abc import Mapping
        >>> from torch import nn
        >>> from latte.api import Backbone, NoOptions, Trainable
        >>> class OnlyLayerNorms(Trainable[NoOptions]):
        ...     def select(self, backbone: Backbone) -> Mapping[str, nn.Parameter]:
        ...         return backbone.train_only("visual_layer_norms")
    """

    def check(self) -> None:
        """Check the options before a run computes anything; raise `LatteError` for an error."""

    @abstractmethod
    def select(self, backbone: Backbone) -> Mapping[str, nn.Parameter]:
        """Choose the parameters of `backbone` to train, and return them by name.

        Set `requires_grad` of the chosen parameters, and freeze all others. With equal seeds, the
        returned parameters must be bit-identical.
        """

    def merge(self, backbone: Backbone) -> None:
        """Merge all parameters added by `select` into the model's weights, before it is saved.

        Features may change by rounding only. The default does nothing.
        """
