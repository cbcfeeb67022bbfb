"""The texts of one step: each distinct one is encoded once, however many samples share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latte.adapt.timing import TEXTS, timed


class StepTexts:
    """Text features of one step, with gradient where the text tower trains."""

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        self._encode = encode
        self._rows: dict[str, int] = {}
        self._features: list[Tensor] = []

    def encode(self, texts: Sequence[str]) -> Tensor:
        """M texts -> unit features (M, D); what an earlier call encoded is not encoded again."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._rows.update({text: len(self._rows) + at for at, text in enumerate(new)})
            with timed(TEXTS):
                self._features = [torch.cat([*self._features, self._encode(new)])]
        if not self._features:
            return self._encode([])
        rows = torch.tensor([self._rows[text] for text in texts])
        features = self._features[0]
        return features.index_select(0, rows.to(features.device, non_blocking=True))
