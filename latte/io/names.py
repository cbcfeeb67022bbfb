"""Make names of folders and files that every file system accepts."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

LONGEST_NAME = 200
"""Largest length of a name in bytes; file systems accept 255."""
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"}
)
"""Names that Windows reserves, also with a suffix."""


def safe_name(text: str) -> str:
    """Return `text` as the name of a visible file or folder, at most `LONGEST_NAME` bytes long.

    Path separators, unprintable characters and characters that Windows forbids become `_`.
    """
    name = "".join(
        one if one.isprintable() and one not in _FORBIDDEN else "_"
        for one in unicodedata.normalize("NFC", text)
    )
    name = shortened(name.strip(" "), LONGEST_NAME).rstrip(". ")
    device = name.partition(".")[0].rstrip().lower() in _DEVICES
    return f"_{name}" if device or not name or name.startswith(".") else name


def distinct_names(texts: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Return a `safe_name` of each text, all different and different from `reserved`.

    Names that differ only in case count as equal. A name that is taken by an earlier text gets a
    number, for example `cat-2`.
    """
    taken = {_folded(name) for name in reserved}
    numbers: Counter[str] = Counter()
    found = []
    for text in texts:
        base = name = safe_name(text)
        while _folded(name) in taken:
            numbers[_folded(base)] += 1
            name = f"{base}-{numbers[_folded(base)] + 1}"
        taken.add(_folded(name))
        found.append(name)
    return found


def shortened(name: str, most: int) -> str:
    """Return `name`, cut off after at most `most` bytes."""
    name = name[:most]
    while len(name.encode("utf-8", "surrogateescape")) > most:
        name = name[:-1]
    return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
