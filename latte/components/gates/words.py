"""Texts as words: what gates compare."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def folded(text: str) -> str:
    """`text` without what does not matter for comparing: case, compatibility forms, curly quotes.

    What it leaves is not meant for people.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.replace("\u2019", "'").replace("\u02bc", "'")


def words(text: str) -> list[str]:
    """Runs of letters and digits in the `folded` text, with apostrophes inside: `don't`, `3d`.

    Hyphens and underscores separate words. Scripts that write no spaces between words, such as
    Chinese, give one word a clause.
    """
    return _WORD.findall(folded(text))
