"""A CLIP: two towers, a logit scale, named groups of trainable parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

TrainableGroup = Literal["all", "visual_layer_norms", "text_layer_norms", "projections", "none"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a backbone wants its pixels."""

    size: int
    """Side of the square input, in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"


class Backbone(ABC):
    """One copy of a CLIP. Features are L2-normalised; D is the joint embedding's width."""

    pixel_format: PixelFormat
    embedding_width: int
    notes: tuple[str, ...] = ()
    """What makes it slower than it might be, in words; said at the start of a training."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes when the weights that were loaded, or the architecture, change."""

    @abstractmethod
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, S, S), normalised by `pixel_format` -> unit features (B, D)."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """M texts -> unit features (M, D). Equal texts are encoded once and their rows gathered."""

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """The scalar that multiplies cosine similarities (already exponentiated), with gradient."""

    @abstractmethod
    def clamp_logit_scale(self) -> None:
        """Keep the logit scale within [1, 100], as CLIP's training does after every step."""

    @abstractmethod
    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Let `group` train and freeze the rest; returns what trains, by name."""

    def recompute_activations(self) -> bool:
        """Keep less for the way back, and compute it a second time there; whether that is so now.

        Features and gradients stay what they are, up to rounding.
        """
        return False

    @abstractmethod
    def fork(self) -> Backbone:
        """An independent copy with the same weights and fingerprint, everything frozen."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Every weight and buffer by name, detached: what a checkpoint holds."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write a folder that open_clip opens as `local-dir:FOLDER` with the same outputs."""
