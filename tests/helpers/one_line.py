"""Texts without the line breaks that a terminal's width puts into them."""

from __future__ import annotations


def squashed(text: str) -> str:
    """Return the words of a text, with one space between them."""
    return " ".join(text.split())
