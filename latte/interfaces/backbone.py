"""Interface of a CLIP with two towers, a logit scale and named groups of trainable parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

InputT = TypeVar("InputT")

TrainableGroup = Literal["all", "visual_layer_norms", "text_layer_norms", "projections", "none"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Size and normalisation of the images that a backbone takes.

    Example:
        >>> from latte.api import PixelFormat
        >>> PixelFormat(size=224, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28)).interpolation
        'bicubic'
    """

    size: int
    """Side of the square input, in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"


@dataclass(frozen=True, slots=True)
class Trunk(Generic[InputT]):
    """A tower in two parts: layers that training does not change, then the other layers.

    Example:
        >>> from latte.api import Trunk
        >>> colours = Trunk(3, lambda pixels: pixels.mean((2, 3)), lambda states: states)
        >>> colours.width
        3
    """

    width: int
    """Width W of the states, which are the outputs of the unchanged layers."""
    states: Callable[[InputT], Tensor]
    """Maps pixels (B, 3, S, S) to states (B, W), or M distinct texts to states (M, W)."""
    features: Callable[[Tensor], Tensor]
    """Maps states (B, W) to unit features (B, D), with gradient."""


class Backbone(ABC):
    """A CLIP model. Features are L2-normalised; D is the width of the joint embedding space.

    Example:
        >>> from latte.testing import StubClip  # a small Backbone for tests
        >>> StubClip().encode_texts(["a cat", "a dog"]).shape
        torch.Size([2, 16])
    """

    pixel_format: PixelFormat
    embedding_width: int
    notes: tuple[str, ...] = ()
    """Sentences that say why this backbone is slow; printed when training starts."""
    saves_transformers: bool = False
    """True if `save` writes a folder that `from_pretrained` of transformers opens."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifier that changes with the loaded weights and the architecture."""

    @abstractmethod
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S), normalised by `pixel_format`, to unit features (B, D)."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode M texts to unit features (M, D); equal texts are encoded once."""

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts whose end the text tower ignores because they are too long.

        The default returns 0.
        """
        return 0

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """Scalar that multiplies cosine similarities: exp of CLIP's parameter, with gradient."""

    @property
    def logit_bias(self) -> Tensor | None:
        """Scalar that a sigmoid model (SigLIP) adds to its logits; None for a softmax model."""
        return None

    @abstractmethod
    def clamp_logit_scale(self) -> None:
        """Keep the logit scale within [1, 100], as CLIP's training does after every step.

        If the loaded logit scale of a sigmoid model is above 100, it is the upper limit.
        """

    @abstractmethod
    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Unfreeze `group`, freeze the rest, and return the trainable parameters by name."""

    def image_trunk(self) -> Trunk[Tensor] | None:
        """Return the image tower in two parts, or None if training changes all of its layers.

        The engine then computes the states of each image once instead of in every step. So the
        unchanged layers must not draw random numbers, as dropout does.
        """
        return None

    def text_trunk(self) -> Trunk[Sequence[str]] | None:
        """Return the text tower in two parts, or None; see `image_trunk`."""
        return None

    def image_tower(self) -> nn.Module | None:
        """Return a module that maps pixels (B, 3, S, S) to features (B, D) and can be exported.

        The features need not be normalised. None means that the model has no ONNX export.
        """
        return None

    def recompute_activations(self) -> bool:
        """Recompute activations in the backward pass (gradient checkpointing) to save memory.

        Features and gradients change by rounding only. Return True if the backbone supports this.
        """
        return False

    @abstractmethod
    def fork(self) -> Backbone:
        """Return an independent, frozen copy with equal weights and an equal fingerprint."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return every weight and buffer by name, detached, for a checkpoint."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore weights and buffers from `state`, which an earlier call of `state()` returned."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model to `folder`; `BackboneLoader.load_saved` opens it, with equal outputs."""
