"""Text features that a step looks up instead of encoding them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from latte.describe.bank import DescriptionBank
from latte.train.timing import TEXTS, timed

_NEVER = -1


class CachedTexts:
    """Features of M distinct texts by row, without gradient."""

    def __init__(self, features: Tensor, names: Sequence[str]) -> None:
        """Keep unit features (M, D) for good; they are read for the descriptions `names`."""
        self._features = features
        self.names = frozenset(names)

    def look_up(self, rows: Tensor, step: int) -> Tensor:
        """Rows (B,), on the CPU -> unit features (B, D), as a step counted from 0 wants them."""
        return self._features.index_select(0, rows.to(self._features.device))

    def state(self) -> dict[str, Tensor]:
        """For checkpoints: nothing, as these never change."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""


class RefreshedTexts(CachedTexts):
    """A text is encoded when it is asked for, and again when that was `lifetime` steps ago."""

    def __init__(
        self,
        texts: Sequence[str],
        names: Sequence[str],
        encode: Callable[[Sequence[str]], Tensor],
        lifetime: int,
        like: Tensor,
    ) -> None:
        """Begin with nothing encoded; `like` has the width and the device of features."""
        super().__init__(like.new_zeros(len(texts), like.shape[-1]), names)
        self._texts = texts
        self._encode = encode
        self._lifetime = lifetime
        self._encoded_in = torch.full((len(texts),), _NEVER)

    def look_up(self, rows: Tensor, step: int) -> Tensor:
        """See `CachedTexts.look_up`; no feature is older than `lifetime` - 1 steps."""
        since = self._encoded_in[rows]
        due: Tensor = torch.unique(rows[(since == _NEVER) | (step - since >= self._lifetime)])
        if len(due):
            with torch.no_grad():
                features = self._encode([self._texts[row] for row in due.tolist()])
            self._features[due.to(features.device)] = features
            self._encoded_in[due] = step
        return super().look_up(rows, step)

    def state(self) -> dict[str, Tensor]:
        """Everything that may still be looked up, as the weights that made it are gone."""
        oldest = max(int(self._encoded_in.max()) - self._lifetime + 1, 0)
        rows = (self._encoded_in >= oldest).nonzero().flatten()
        features = self._features[rows.to(self._features.device)]
        return {"rows": rows, "features": features, "encoded_in": self._encoded_in[rows]}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._encoded_in.fill_(_NEVER)
        self._encoded_in[state["rows"]] = state["encoded_in"]
        rows = state["rows"].to(self._features.device)
        self._features[rows] = state["features"].to(self._features)


# The texts of one step: each distinct one is encoded once, however many samples share it.


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


# Features of what is written about a batch: encoded in this step, or looked up.


def description_features(
    columns: Sequence[tuple[str, Tensor]],
    bank: DescriptionBank,
    texts: StepTexts,
    kept: CachedTexts | None,
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
