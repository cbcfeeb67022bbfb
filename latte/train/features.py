"""The inputs that all training steps share, and the texts of one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latte.backbone.encode import ClassTexts
from latte.describe.bank import DescriptionBank
from latte.interfaces import PseudoLabeler
from latte.train.timing import TEXTS, timed


@dataclass(frozen=True)
class StepInputs:
    """Labelers and texts that all training steps of a run use."""

    labelers: Sequence[PseudoLabeler[Any]]
    bank: DescriptionBank
    descriptions: Sequence[str]
    class_texts: ClassTexts
    """Sentences of each class, for aggregators that encode them again in training."""
    seed: int

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.class_texts.of_class)


class StepTexts:
    """Text features of one step, with gradient if the text tower has trainable parameters."""

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        self._encode = encode
        self._rows: dict[str, int] = {}
        self._features: list[Tensor] = []

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the unit features (M, D) of M > 0 texts; encode each distinct text once."""
        new_texts = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new_texts:
            for text in new_texts:
                self._rows[text] = len(self._rows)
            with timed(TEXTS):
                self._features = [torch.cat([*self._features, self._encode(new_texts)])]
        (features,) = self._features
        rows = torch.tensor([self._rows[text] for text in texts])
        return features.index_select(0, rows.to(features.device, non_blocking=True))


def description_features(
    columns: Sequence[Tensor], bank: DescriptionBank, encode: Callable[[Sequence[str]], Tensor]
) -> Sequence[Tensor]:
    """Return one tensor (B, D) of unit text features per column, encoded in one call.

    A column (indices (B,) into `bank.unique_texts`) names one text per image of the batch.
    """
    if not columns:
        return []
    rows = torch.cat([*columns]).tolist()
    return torch.split(encode([bank.unique_texts[row] for row in rows]), len(columns[0]))
