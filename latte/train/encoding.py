"""Encode the images or the texts of a training step to unit features.

An encoder runs the whole tower (`Live`), only the layers after the frozen ones
(`ImagesFromStates`, `TextsFromStates`), or looks features up (`Constant`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from latte.backbone.features import check_features
from latte.backbone.packed import rows_of, starts_of
from latte.backbone.precision import Arithmetic, encoding_in, forward_in
from latte.interfaces import Backbone, TextTrunk, Trunk
from latte.toolkit.blocks import rows_per_block


@dataclass(frozen=True)
class StepImages:
    """Images of a training step, as many as `indices`."""

    indices: Tensor
    """(B,) int64, on the CPU: indices of training images."""
    pixels: Tensor | None
    """(B, 3, S, S): views of the images; None if the encoder reads no pixels."""

    def __len__(self) -> int:
        """Number B of images."""
        return len(self.indices)

    def __getitem__(self, part: slice) -> StepImages:
        """Return the images of a slice."""
        pixels = None if self.pixels is None else self.pixels[part]
        return StepImages(self.indices[part], pixels)


class Inputs(Protocol):
    """Images or texts that can be divided."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> Self: ...


InputT = TypeVar("InputT", bound=Inputs)


class TowerEncoder(ABC, Generic[InputT]):
    """Encodes images, or distinct texts, to unit features in fp32."""

    trains = True
    """False if no feature depends on a trained parameter."""
    needs_pixels = False
    """True if `StepImages.pixels` are read."""

    @abstractmethod
    def encode(self, inputs: InputT) -> Tensor:
        """Return unit features (B, D) of B > 0 inputs, with gradient if the tower trains."""

    def backward(self) -> None:
        """Propagate the gradients of the features that `encode` returned without their graph.

        Does nothing here, because the backward pass of the loss has reached the tower.
        """


class Live(TowerEncoder[InputT]):
    """Runs the whole tower."""

    needs_pixels = True

    def __init__(
        self,
        tower: Callable[[InputT], Tensor],
        arithmetic: Arithmetic,
        device: torch.device,
        *,
        trains: bool,
    ) -> None:
        """Encode with `tower`, a function from inputs to unit features."""
        self.trains = trains
        self._tower = tower
        self._arithmetic = arithmetic
        self._device = device

    def encode(self, inputs: InputT) -> Tensor:
        """Return unit features (B, D), computed in the arithmetic of the run."""
        with forward_in(self._arithmetic, self._device):
            return self._tower(inputs)


def live_images(backbone: Backbone, arithmetic: Arithmetic, *, trains: bool) -> Live[StepImages]:
    """Return an encoder that runs the image tower of `backbone` on pixels."""

    def tower(images: StepImages) -> Tensor:
        assert images.pixels is not None, "`Live` needs pixels"
        return backbone.encode_images(images.pixels)

    return Live(tower, arithmetic, backbone.logit_scale.device, trains=trains)


def live_texts(backbone: Backbone, arithmetic: Arithmetic, *, trains: bool) -> Live[Sequence[str]]:
    """Return an encoder that runs the text tower of `backbone`."""

    def tower(texts: Sequence[str]) -> Tensor:
        return backbone.encode_texts(texts)

    return Live(tower, arithmetic, backbone.logit_scale.device, trains=trains)


class ImagesFromStates(TowerEncoder[StepImages]):
    """Runs the image tower's later layers on outputs of its frozen layers for N images."""

    def __init__(
        self, trunk: Trunk, states: Tensor, arithmetic: Arithmetic, device: torch.device
    ) -> None:
        """Use the outputs `states` (N, W), which are on `device` in training."""
        self.trunk = trunk
        self.states = states
        self._arithmetic = arithmetic
        self._device = device

    def encode(self, inputs: StepImages) -> Tensor:
        """Return unit features (B, D), with gradient, of images by their indices."""
        rows = inputs.indices.to(self.states.device, non_blocking=True)
        with forward_in(self._arithmetic, self._device):
            return self.trunk.features(self.states[rows])

    def all_features(self, size: int | None = None) -> Tensor:
        """Return the current unit features (N, D) of all images, on the CPU, without gradient.

        If `states` come from batches of `size`, the features are bit-identical to features of the
        whole tower in the same batches. Raises `LatteError` if a feature is zero or not finite,
        because training diverged.
        """
        blocks = torch.split(self.states, size or rows_per_block(self.trunk.width))
        with torch.no_grad(), encoding_in(self._arithmetic, self._device):
            feature_blocks = [self.trunk.features(block.to(self._device)).cpu() for block in blocks]
        features = torch.cat(feature_blocks)
        check_features(features, "image")
        return features


class TextsFromStates(TowerEncoder[Sequence[str]]):
    """Runs the text tower's later layers on outputs of its frozen layers for M texts."""

    def __init__(
        self,
        trunk: TextTrunk,
        states: Tensor,
        lengths: Tensor,
        indices: Mapping[str, int],
        arithmetic: Arithmetic,
    ) -> None:
        """Use the outputs `states` (T, W) of the frozen layers, which are on the device.

        `lengths` (M,) int64, on the CPU, counts the rows of each text; T is their sum. `indices`
        gives the position of each text in `lengths`.
        """
        self.trunk = trunk
        self.states = states
        self.lengths = lengths
        self.indices = indices
        self._starts = starts_of(lengths)
        self._arithmetic = arithmetic

    def encode(self, inputs: Sequence[str]) -> Tensor:
        """Return unit features (B, D) of texts, with gradient."""
        indices = torch.tensor([self.indices[text] for text in inputs])
        lengths = self.lengths[indices]
        rows = rows_of(self._starts[indices], lengths).to(self.states.device, non_blocking=True)
        with forward_in(self._arithmetic, self.states.device):
            return self.trunk.features(self.states[rows], lengths)


class Constant(TowerEncoder[InputT]):
    """Looks up features of a tower that is not trained."""

    trains = False

    def __init__(self, features: Tensor, rows_of_inputs: Callable[[InputT], Tensor]) -> None:
        """Use unit `features` (M, D); `rows_of_inputs` gives the row of each input, on the CPU."""
        self.features = features
        self._rows = rows_of_inputs

    def encode(self, inputs: InputT) -> Tensor:
        """Return unit features (B, D), without gradient."""
        rows = self._rows(inputs).to(self.features.device, non_blocking=True)
        return self.features.index_select(0, rows)


def constant_images(features: Tensor) -> Constant[StepImages]:
    """Return an encoder that looks up the `features` (N, D) of all training images."""
    return Constant(features, lambda images: images.indices)


def constant_texts(features: Tensor, texts: Sequence[str]) -> Constant[Sequence[str]]:
    """Return an encoder that looks up the `features` (M, D) of distinct `texts`."""
    indices = {text: index for index, text in enumerate(texts)}
    return Constant(features, lambda inputs: torch.tensor([indices[text] for text in inputs]))
