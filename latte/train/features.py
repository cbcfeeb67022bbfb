"""Features of images and texts for training steps: encoded in each step, or cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from latte.backbone.encode import ClassTexts
from latte.backbone.packed import rows_of, starts_of
from latte.describe.bank import DescriptionBank
from latte.interfaces import PseudoLabeler, TextTrunk, Trunk
from latte.train.timing import TEXTS, timed

BankFeatures = Callable[[], Tensor]
"""Function that returns the frozen CLIP's features (M, D) of `DescriptionBank.unique_texts`."""
ImageStates = Callable[[Trunk, Sequence[str]], Tensor]
"""Function from the tower in two parts (frozen layers, other layers), and the names of its trained
parameters, to the frozen layers' outputs (N, W) for the training images."""
LARGEST_STATES = 4 * 2**30
"""Largest size in bytes of the cached outputs of frozen layers, for the images of a split and for
all texts. It does not depend on the machine, because results with and without the cache can differ
by rounding."""


@dataclass(frozen=True)
class StepInputs:
    """Labelers, texts and corrections that all training steps of a run use."""

    labelers: Sequence[PseudoLabeler[Any]]
    bank: DescriptionBank
    descriptions: Sequence[str]
    class_texts: ClassTexts
    """Sentences of each class, for aggregators that encode them again in training."""
    seed: int
    corrections: Tensor | None = None
    """(N,) int64, on the CPU: class that a person gave to the image, or -1."""


@dataclass(frozen=True)
class CachedStates:
    """Cached outputs of the image tower's frozen layers, from which steps compute features."""

    trunk: Trunk
    states: Tensor
    """(N, W): one row per image or text; on the device in training, on the CPU in evaluations."""

    def features(self, rows: Tensor) -> Tensor:
        """Return unit features (B, D), with gradient, of the images with indices `rows` (B,)."""
        return self.trunk.features(self.states[rows.to(self.states.device, non_blocking=True)])


@dataclass(frozen=True)
class CachedTextStates:
    """Cached outputs of the text tower's frozen layers for M texts, computed before training."""

    trunk: TextTrunk
    states: Tensor
    """(T, W), on the device."""
    lengths: Tensor
    """(M,) int64, on the CPU: number of rows of each text; T is their sum."""
    indices: Mapping[str, int]

    def features(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (B, D), with gradient, of B > 0 texts."""
        chosen = torch.tensor([self.indices[text] for text in texts])
        lengths = self.lengths[chosen]
        rows = rows_of(self._starts[chosen], lengths).to(self.states.device, non_blocking=True)
        return self.trunk.features(self.states[rows], lengths)

    @cached_property
    def _starts(self) -> Tensor:
        return starts_of(self.lengths)


def state_bytes(trunk: Trunk | TextTrunk, rows: int) -> int:
    """Return the size in bytes of `rows` cached rows of the frozen layers' outputs, in fp32."""
    return rows * trunk.width * torch.float32.itemsize


@dataclass(frozen=True)
class CachedTexts:
    """Constant features of all texts of descriptions, for a text tower that is not trained."""

    unit_features: Tensor
    """(M, D), on the device: one row per text of `DescriptionBank.unique_texts`."""

    def features(self, rows: Tensor) -> Tensor:
        """Return unit features (B, D) of texts, given their indices `rows` (B,) on the CPU."""
        features = self.unit_features
        return features.index_select(0, rows.to(features.device, non_blocking=True))


class StepTexts:
    """Text features of one step, with gradient if the text tower has trainable parameters."""

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        self._encode = encode
        self._rows: dict[str, int] = {}
        self._features: list[Tensor] = []

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the unit features (M, D) of M texts; encode each distinct text once per step."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            for text in new:
                self._rows[text] = len(self._rows)
            with timed(TEXTS):
                self._features = [torch.cat([*self._features, self._encode(new)])]
        if not self._features:
            return self._encode([])
        (features,) = self._features
        rows = torch.tensor([self._rows[text] for text in texts])
        return features.index_select(0, rows.to(features.device, non_blocking=True))


def description_features(
    columns: Sequence[Tensor], bank: DescriptionBank, texts: StepTexts, cached: CachedTexts | None
) -> Sequence[Tensor]:
    """Return one tensor (B, D) of unit text features per column.

    A column (indices (B,) into `bank.unique_texts`) names one text per image of the batch. The
    features of all columns are looked up in one call, or else `texts` encodes them in one call.
    """
    if not columns:
        return []
    rows = torch.cat([*columns])
    if cached is not None:
        features = cached.features(rows)
    else:
        features = texts.encode([bank.unique_texts[row] for row in rows.tolist()])
    return torch.split(features, len(columns[0]))
