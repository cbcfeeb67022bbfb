"""Interface of a CLIP model: image tower, text tower, logit scale, groups of parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latte.interfaces.encoder import Encoder

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

TrainableGroup = Literal["all", "visual_layer_norms", "text_layer_norms", "projections", "none"]


@dataclass(frozen=True, slots=True)
class Trunk:
    """An image tower in two parts: its frozen first layers, then its other layers.

    The outputs of the frozen layers, called states, are cached: see `Backbone.image_trunk`.

    Attributes:
        width: Width W of the states.
        states: Maps pixels (B, 3, S, S) to states (B, W).
        features: Maps states (B, W) to unit features (B, D), with gradient.

    Example:
        >>> from latte.api import Trunk
        >>> colours = Trunk(3, lambda pixels: pixels.mean((2, 3)), lambda states: states)
        >>> colours.width
        3
    """

    width: int
    states: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TextTrunk:
    """A text tower in two parts: layers that training does not change, then the other layers.

    The outputs of the first part are called states. The states of a text have one row or several,
    for example a row per token. The rows of all texts form one matrix (T, W), in the order of the
    texts.

    Attributes:
        width: Width W of the rows.
        lengths: Maps M texts to the number of state rows of each text: (M,), int64, on the CPU.
        states: Maps M distinct texts to states (T, W); T is the total number of state rows.
        features: Maps states (T, W) and lengths (M,) to unit features (M, D), with gradient.

    Example:
        >>> import torch
        >>> from latte.api import TextTrunk
        >>> def lengths(texts):
        ...     return torch.tensor([len(text) for text in texts])
        >>> def states(texts):
        ...     return torch.tensor([[float(ord(letter))] for text in texts for letter in text])
        >>> def features(rows, lengths):
        ...     return torch.stack([part.mean(0) for part in rows.split(lengths.tolist())])
        >>> letters = TextTrunk(1, lengths, states, features)
        >>> letters.features(letters.states(["ab", "c"]), letters.lengths(["ab", "c"])).tolist()
        [[97.5], [99.0]]
    """

    width: int
    lengths: Callable[[Sequence[str]], Tensor]
    states: Callable[[Sequence[str]], Tensor]
    features: Callable[[Tensor, Tensor], Tensor]


class Backbone(Encoder):
    """A CLIP model: an `Encoder` that encodes texts, too, into the same space of D dimensions.

    A run loads one backbone, which stays frozen: it computes the zero-shot labels and the features
    of texts. Training changes only copies (see `fork`). Subclasses set `pixel_format` and
    `embedding_width`. If the model is one torch module, extend `ModuleBackbone`, which needs fewer
    methods.

    Attributes:
        notes: Reasons why this backbone is slow, in sentences; printed when training starts.
        saves_transformers: True if `save` writes a folder that `from_pretrained` of transformers
            opens.

    Example:
        >>> from latte_author.testing import StubClip  # a small Backbone for tests
        >>> StubClip().encode_texts(["a cat", "a dog"]).shape
        torch.Size([2, 16])
    """

    notes: tuple[str, ...] = ()
    saves_transformers: bool = False

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifier of the loaded weights and of the code that computes features from them.

        latte stores features of frozen models under this identifier, so equal fingerprints must
        mean equal features. Training does not change the fingerprint. A trained model that is saved
        and loaded again has a new fingerprint.
        """

    @abstractmethod
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S), normalised by `pixel_format`, to unit features (B, D), fp32.

        Pixels may be on the CPU; features are on the model's device, with gradient if the image
        tower has a trainable parameter. The feature of an image must not depend on the other
        images of the batch.
        """

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode M texts to unit features (M, D), fp32; equal texts are encoded once.

        Features are on the model's device, with gradient if the text tower has a trainable
        parameter. The feature of a text must not depend on the other texts. M may be 0. Truncate
        texts that are too long for the text tower; `count_cut` must count them.
        """

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts whose end the text tower ignores because they are too long.

        latte calls this method before training and warns if the result is above 0.
        """
        return 0

    @property
    def device(self) -> torch.device:
        """Device of the weights: the device of `logit_scale`."""
        return self.logit_scale.device

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """Scalar (shape `()`) by which cosine similarities are multiplied to get logits.

        It is the exponential of CLIP's parameter `logit_scale`, and carries a gradient if this
        parameter is trainable.
        """

    @property
    def logit_bias(self) -> Tensor | None:
        """Scalar (shape `()`) that a sigmoid model (SigLIP) adds to its logits; else None."""
        return None

    @abstractmethod
    def clamp_logit_scale(self) -> None:
        """Clamp a trainable logit scale to [1, 100]; latte calls this after every training step.

        If a sigmoid model was loaded with a logit scale above 100, this scale is the upper limit.
        """

    @abstractmethod
    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Unfreeze `group`, freeze the rest, and return the trainable parameters by name.

        Components of kind `trainable` call this method on each learner's copy of the backbone.
        Names must be equal in all copies, because checkpoints store the parameters by name. Raise
        `LatteError` if the model has no parameters in `group`; for `none`, return an empty mapping.
        """

    def image_trunk(self) -> Trunk | None:
        """Return the image tower split into frozen and other layers; None if it is not split.

        latte calls this method after the trainable parameters have been chosen. latte caches
        the outputs of the frozen layers if they fit into memory, unless each epoch has new random
        views. So the frozen layers must be deterministic: no dropout. The default returns None.
        """
        return None

    def text_trunk(self) -> TextTrunk | None:
        """Return the text tower split into frozen and other layers; None if it is not split.

        The outputs of the frozen layers are cached per distinct text; see `image_trunk`.
        """
        return None

    def recompute_activations(self) -> bool:
        """Recompute activations in the backward pass (gradient checkpointing) to save memory.

        latte calls this method before training if `train.gradient_checkpointing` asks for it.
        Features and gradients may change by rounding only. Return True if the backbone supports it;
        the default does nothing and returns False.
        """
        return False

    @abstractmethod
    def fork(self) -> Backbone:
        """Return an independent, frozen copy with equal weights and an equal fingerprint.

        latte calls this method once per learner. Training the copy must not change the original.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return every weight and buffer by name, detached, without copying them.

        Checkpoints contain only the parameters that `train_only` returned, so training must not
        change other tensors.
        """

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore weights and buffers from `state`, which an earlier call of `state()` returned."""
