"""What a describer's answer becomes before it is stored: one printable line."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 600
"""Some eight times what was asked for; CLIP reads at most 77 tokens anyway."""


def clean(text: str) -> str:
    """One line of printable text of at most `MAX_CHARACTERS`, cut between words."""
    if not text.isprintable():
        text = "".join(char for char in text if _is_printable(char))
    line = " ".join(text.split())
    if len(line) <= MAX_CHARACTERS:
        return line
    head = line[: MAX_CHARACTERS + 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head[:MAX_CHARACTERS]).strip()


def _is_printable(char: str) -> bool:
    """White space of every kind passes: what it becomes is decided later."""
    return char.isspace() or unicodedata.category(char) not in ("Cc", "Cs")
