"""Features of images and texts for training steps: encoded in each step, or cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
_NEVER = -1


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


@dataclass(frozen=True)
class CachedViews:
    """Cached outputs of the image tower's frozen layers for a fixed number of views per image.

    The outputs for a view are computed in the first epoch that uses the view. A resumed run
    computes them again in the same batches, so that they are bit-identical.
    """

    trunk: Trunk
    size: int
    """Size in bytes of the outputs for all views."""
    states: dict[int, CachedStates] = field(default_factory=dict)
    """Outputs (N, W) of the frozen layers, by index of the view (from 0)."""


def state_bytes(trunk: Trunk | TextTrunk, rows: int) -> int:
    """Return the size in bytes of `rows` cached rows of the frozen layers' outputs, in fp32."""
    return rows * trunk.width * torch.float32.itemsize


class CachedTexts:
    """Cache of text features of M distinct texts. The features are constant, without gradient."""

    def __init__(self, features: Tensor, names: Sequence[str]) -> None:
        """Store the unit features (M, D) of all texts of the descriptions `names`."""
        self._features = features
        self.names = frozenset(names)

    def look_up(self, rows: Tensor, step: int) -> Tensor:
        """Return unit features (B, D) of texts, given their indices `rows` (B,) on the CPU."""
        return self._features.index_select(0, rows.to(self._features.device, non_blocking=True))

    def state(self) -> dict[str, Tensor]:
        """Return an empty dict, because constant features need not be in a checkpoint."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing, because `state` returns no tensors."""


class RefreshedTexts(CachedTexts):
    """Cache of text features. If a feature is `lifetime` steps old, it is computed again on use."""

    def __init__(
        self,
        texts: Sequence[str],
        names: Sequence[str],
        encode: Callable[[Sequence[str]], Tensor],
        lifetime: int,
        like: Tensor,
    ) -> None:
        """Start with an empty cache. Features get the width D and device of `like` (any, D)."""
        super().__init__(like.new_zeros(len(texts), like.shape[-1]), names)
        self._texts = texts
        self._encode = encode
        self._lifetime = lifetime
        self._encoded_in = torch.full((len(texts),), _NEVER)

    def look_up(self, rows: Tensor, step: int) -> Tensor:
        """Return features that are at most `lifetime` - 1 steps old; see `CachedTexts.look_up`."""
        since = self._encoded_in[rows]
        due: Tensor = torch.unique(rows[(since == _NEVER) | (step - since >= self._lifetime)])
        if len(due):
            with torch.no_grad():
                features = self._encode([self._texts[row] for row in due.tolist()])
            self._features[due.to(features.device, non_blocking=True)] = features
            self._encoded_in[due] = step
        return super().look_up(rows, step)

    def state(self) -> dict[str, Tensor]:
        """Return the cached features for a checkpoint.

        They come from earlier weights, so a resumed run cannot compute them again.
        """
        oldest = max(int(self._encoded_in.max()) - self._lifetime + 1, 0)
        rows = (self._encoded_in >= oldest).nonzero().flatten()
        features = self._features[rows.to(self._features.device)]
        return {"rows": rows, "features": features, "encoded_in": self._encoded_in[rows]}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._encoded_in.fill_(_NEVER)
        self._encoded_in[state["rows"]] = state["encoded_in"]
        rows = state["rows"].to(self._features.device)
        self._features[rows] = state["features"].to(self._features)


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
    columns: Sequence[tuple[str, Tensor]],
    bank: DescriptionBank,
    texts: StepTexts,
    cached: CachedTexts | None,
    step: int,
) -> list[Tensor]:
    """Return one tensor (B, D) of unit text features per column.

    A column (name of a description, indices (B,) into `bank.unique_texts`) names one text per image
    of the batch. Features of cached descriptions are looked up in one call; `texts` encodes all
    others in one call.
    """
    names = frozenset[str]() if cached is None else cached.names
    features: dict[int, Tensor] = {}
    for is_cached in (False, True):
        places = [at for at, (name, _) in enumerate(columns) if (name in names) == is_cached]
        if not places:
            continue
        rows = torch.cat([columns[at][1] for at in places])
        if is_cached and cached is not None:
            found = cached.look_up(rows, step)
        else:
            found = texts.encode([bank.unique_texts[row] for row in rows.tolist()])
        features |= zip(places, torch.split(found, len(columns[0][1])), strict=True)
    return [features[at] for at in range(len(columns))]
