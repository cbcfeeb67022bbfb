"""Features of the descriptions by the frozen CLIP, for use before the first training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.backbone.encode import encode_many_texts
from latte.describe.bank import ABSENT, DescriptionBank
from latte.run.feature_cache import cached_features
from latte.run.workspace import Workspace


class FrozenTexts:
    """Features of a bank's texts; each description type is encoded when it is first used.

    If a description type has several texts about an image, the feature is their normalised mean.
    """

    def __init__(self, workspace: Workspace, bank: DescriptionBank) -> None:
        self._workspace = workspace
        self._bank = bank
        self._encoded: dict[str, tuple[Tensor, Tensor]] = {}

    def named(self, name: str) -> Tensor:
        """Return unit features (N, D) of description type `name`. Raises `KeyError` if unknown."""
        return self._features(name, self._bank.own_rows(name))

    def of(self, labels: Tensor) -> Mapping[str, Tensor]:
        """Return features (N, D) by description, in recipe order; scope `class` uses `labels`."""
        names = [choice.label for choice in self._workspace.recipe.descriptions]
        return {name: self._features(name, self._bank.own_rows(name, labels)) for name in names}

    def every(self) -> Tensor:
        """Return unit features (M, D) of the bank's M `unique_texts`, in the same order."""
        width = self._workspace.frozen_clip.embedding_width
        features = torch.zeros(len(self._bank.unique_texts), width, device=self._workspace.device)
        for choice in self._workspace.recipe.descriptions:
            known, of_these = self._cached(choice.label)
            features[known.to(features.device)] = of_these
        return features

    def _cached(self, name: str) -> tuple[Tensor, Tensor]:
        if name not in self._encoded:
            self._encoded[name] = self._encode(name)
        return self._encoded[name]

    def _features(self, name: str, rows: Tensor) -> Tensor:
        known, features = self._cached(name)
        if rows.shape[1] == 1:
            return features[torch.searchsorted(known, rows[:, 0]).to(features.device)]
        return _mean(features, known, rows)

    def _encode(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the sorted indices (U,) of a description's texts, and their features (U, D)."""
        clip, progress = self._workspace.frozen_clip, self._workspace.progress
        rows = self._bank.distinct_rows(name)
        texts = [self._bank.unique_texts[row] for row in rows.tolist()]
        title = f"encode descriptions `{name}`"

        def encode(missing: Sequence[int]) -> Tensor:
            with self._workspace.encoding():
                return encode_many_texts(clip, [texts[i] for i in missing], progress, title)

        features = cached_features(
            self._workspace.context.cache_dir,
            (*self._workspace.feature_identity, "texts", *texts),
            texts,
            encode,
            clip.embedding_width,
            progress,
            title,
        )
        return rows, features.to(self._workspace.device)


def _mean(features: Tensor, known: Tensor, rows: Tensor) -> Tensor:
    """Return normalised mean features (N, D) of the texts in each row of `rows` (N, V).

    A row has up to V text indices, padded with `ABSENT`. `features` (U, D) belong to the texts with
    the sorted indices `known` (U,).
    """
    total = features.new_zeros(len(rows), features.shape[1])
    for column in rows.unbind(1):
        there = (column != ABSENT).to(features.device)
        place = torch.searchsorted(known, column.clamp(min=0)).clamp(max=len(known) - 1)
        total += features[place.to(features.device)] * there[:, None]
    return normalize(total, dim=1)
