"""Keys of images that some run has decoded without a fault: nobody decodes them again to know."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from latte.files import digest, write_text


class DecodedImages:
    """What is known across runs, in a folder of the cache; each run adds a file of new keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.keys = frozenset(key for path in folder.glob("*.txt") for key in _lines(path))

    def note(self, keys: Collection[str]) -> None:
        """Remember `keys` for later runs; where that fails, they decode the images again."""
        new = sorted({*keys} - self.keys)
        if new:
            with contextlib.suppress(OSError):
                write_text(self._folder / f"{digest(*new)}.txt", "\n".join(new) + "\n")


def _lines(path: Path) -> list[str]:
    """What a file notes; a damaged one costs no more than decoding again."""
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
