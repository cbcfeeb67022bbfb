"""Normalised words of texts, which gates compare."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def folded(text: str) -> str:
    """Return `text` for comparisons: case-folded, in Unicode form NFKC, with plain apostrophes."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.replace("\u2019", "'").replace("\u02bc", "'")


def words(text: str) -> list[str]:
    """Return runs of letters and digits in the `folded` text, with apostrophes: `don't`, `3d`.

    Hyphens and underscores separate words. Scripts without spaces between words, such as Chinese,
    give one word per clause.
    """
    return _WORD.findall(folded(text))
