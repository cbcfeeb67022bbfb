"""Too little to tell anything, or more than was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from latte.components.gates.options import LengthOptions
from latte.interfaces import Gate, GatedText, GateSubject


class LengthGate(Gate[LengthOptions]):
    """Holds back texts by their number of words: what white space separates.

    In scripts without spaces between words a whole text is one word; use other limits there, or
    no such gate.
    """

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        """See `Gate`."""
        return [self._verdict(len(one.text.split())) for one in texts]

    def _verdict(self, words: int) -> str | None:
        if words < self.options.at_least:
            return (
                f"{words} {'word' if words == 1 else 'words'}, fewer than {self.options.at_least}"
            )
        if words > self.options.at_most:
            return f"{words} words, more than {self.options.at_most}"
        return None
