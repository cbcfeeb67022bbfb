"""Features of what is written about a batch: encoded in this step, or looked up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latte.adapt.kept_texts import KeptTexts
from latte.adapt.texts import StepTexts
from latte.describe.bank import DescriptionBank


def description_features(
    columns: Sequence[tuple[str, Tensor]],
    bank: DescriptionBank,
    texts: StepTexts,
    kept: KeptTexts | None,
    step: int,
) -> list[Tensor]:
    """Columns of (description, rows (B,) of the bank) -> unit features (B, D) of each."""
    looked_up = [kept is not None and name in kept.names for name, _ in columns]
    features: dict[int, Tensor] = {}
    for is_kept in (False, True):
        places = [place for place, one in enumerate(looked_up) if one == is_kept]
        if not places:
            continue
        rows = torch.cat([columns[place][1] for place in places])
        if is_kept and kept is not None:
            found = kept.look_up(rows, step)
        else:
            found = texts.encode([bank.unique_texts[row] for row in rows.tolist()])
        features |= zip(places, torch.split(found, len(columns[0][1])), strict=True)
    return [features[place] for place in range(len(columns))]
