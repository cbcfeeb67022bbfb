"""Features of the descriptions of training images by the frozen CLIP."""

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
    """The frozen CLIP's features of the texts about training images, for each description.

    If a description has several texts about an image, their features are averaged and normalised.
    """

    def __init__(self, workspace: Workspace, bank: DescriptionBank) -> None:
        self._workspace = workspace
        self._bank = bank
        # No `functools.cache`: it would keep these features until the garbage collector runs.
        self._encoded: dict[str, tuple[Tensor, Tensor]] = {}

    def named(self, name: str) -> Tensor:
        """Return the unit features (N, D) of the description `name`; `KeyError` for other names."""
        return self._features(name, self._bank.own_rows(name))

    def of(self, labels: Tensor) -> Mapping[str, Tensor]:
        """Return unit features (N, D) of each description, by name, in the order of the recipe.

        For descriptions of scope `class`, row i is the text feature of the class `labels[i]`.
        """
        names = [choice.label for choice in self._workspace.recipe.descriptions]
        return {name: self._features(name, self._bank.own_rows(name, labels)) for name in names}

    def every(self) -> Tensor:
        """Return the unit features (M, D) of the bank's M `unique_texts`, in the same order."""
        width = self._workspace.frozen_clip.embedding_width
        features = torch.zeros(len(self._bank.unique_texts), width, device=self._workspace.device)
        for choice in self._workspace.recipe.descriptions:
            text_rows, text_features = self._encode(choice.label)
            features[text_rows.to(features.device)] = text_features
        return features

    def _features(self, name: str, rows: Tensor) -> Tensor:
        text_rows, features = self._encode(name)
        if rows.shape[1] == 1:
            return features[torch.searchsorted(text_rows, rows[:, 0]).to(features.device)]
        return _mean(features, text_rows, rows)

    def _encode(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the sorted indices (U,) of a description's texts, and their features (U, D)."""
        if name in self._encoded:
            return self._encoded[name]
        clip, progress = self._workspace.frozen_clip, self._workspace.progress
        rows = self._bank.distinct_rows(name)
        texts = [self._bank.unique_texts[row] for row in rows.tolist()]
        title = f"encode descriptions `{name}`"

        def encode(missing: Sequence[int]) -> Tensor:
            with self._workspace.encoding():
                return encode_many_texts(clip, [texts[i] for i in missing], progress, title)

        features = cached_features(
            self._workspace.context.cache_dir,
            (*self._workspace.feature_identity(), "texts", *texts),
            texts,
            encode,
            clip.embedding_width,
            progress,
            title,
        )
        self._encoded[name] = rows, features.to(self._workspace.device)
        return self._encoded[name]


def _mean(features: Tensor, text_rows: Tensor, rows: Tensor) -> Tensor:
    """Return the normalised mean (N, D) of the features of each image's texts.

    `rows` (N, V) are the indices of each image's texts, padded with `ABSENT`. `features` (U, D) are
    the features of the texts with the sorted indices `text_rows` (U,).
    """
    total = features.new_zeros(len(rows), features.shape[1])
    for column in rows.unbind(1):
        is_present = (column != ABSENT).to(features.device)
        places = torch.searchsorted(text_rows, column.clamp(min=0)).clamp(max=len(text_rows) - 1)
        total += features[places.to(features.device)] * is_present[:, None]
    return normalize(total, dim=1)
