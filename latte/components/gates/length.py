"""Gate `length`: holds back texts with too few or too many words."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, ValidationInfo, field_validator

from latte.api import Gate, GatedText, GateSubject, Options


class LengthOptions(Options):
    """Smallest and largest number of words."""

    at_least: int = Field(default=3, ge=1, description="fewest words")
    at_most: int = Field(default=60, ge=1, description="most words")

    @field_validator("at_most")
    @classmethod
    def _leaves_room(cls, at_most: int, info: ValidationInfo) -> int:
        at_least = info.data.get("at_least")
        if at_least is not None and at_most < at_least:
            raise ValueError(f"must not be smaller than at_least, which is {at_least}")
        return at_most


class LengthGate(Gate[LengthOptions]):
    """Holds back texts by their number of words, separated by white space.

    In scripts without spaces between words a whole text is one word: use other limits for such
    texts, or leave the gate out.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """Return a reason for each text that is held back; see `Gate`."""
        return [self._verdict(len(one.text.split())) for one in texts]

    def _verdict(self, words: int) -> str | None:
        if words < self.options.at_least:
            return (
                f"{words} {'word' if words == 1 else 'words'}, fewer than {self.options.at_least}"
            )
        if words > self.options.at_most:
            return f"{words} words, more than {self.options.at_most}"
        return None
