"""Gate `repetition`: holds back texts that loop, and one text for too many images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from latte.api import Gate, GatedText, GateSubject, Options
from latte.components.gates.words import words

_SEQUENCE = 3
"""Length of the compared word sequences, in words."""


class RepetitionOptions(Options):
    """Largest allowed repetition."""

    within: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="largest share of a text's three-word sequences that occurred in it before",
    )
    across: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description=(
            "largest share of a description's texts that may be equal; raise it for a few classes "
            "that look alike"
        ),
    )


class RepetitionGate(Gate[RepetitionOptions]):
    """Holds back texts that repeat themselves, and texts that many images share.

    Case, punctuation and spaces are ignored. A text that occurs once is never counted as shared.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return a reason for each text that is held back; see `Gate`."""
        split = [tuple(words(one.text)) or (one.text,) for one in texts]
        counts = Counter(split)
        return [self._loop(one) or self._share(counts[one], len(texts)) for one in split]

    def _loop(self, written: Sequence[str]) -> str | None:
        share = repeated_share(written)
        if share <= self.options.within:
            return None
        return f"{share:.0%} of its word sequences are repetitions"

    def _share(self, equal: int, total: int) -> str | None:
        if equal < 2 or equal <= self.options.across * total:
            return None
        return f"the same text {equal:,} times among {total:,}"


def repeated_share(written: Sequence[str]) -> float:
    """Return the share of three-word sequences that occurred earlier in the text.

    The share is 0 without repetition, about 0.5 for a sentence written twice, near 1 for a loop.
    """
    total = len(written) - _SEQUENCE + 1
    if total < 1:
        return 0.0
    distinct = {tuple(written[i : i + _SEQUENCE]) for i in range(total)}
    return 1 - len(distinct) / total
