"""Lists of values on the command line: `a,b`, in which brackets and quotes hold together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from latte.interfaces import LatteError

_CLOSING = {"[": "]", "{": "}"}
_ESCAPES = {'"': "\\", "'": "''"}
"""By quote, what makes the character after it, or itself, part of the text."""
_BEFORE_A_QUOTE = " \t,:[{"
"""A quote after anything else is an apostrophe."""


def split_values(text: str) -> list[str]:
    """`text` at its commas, but for those inside brackets, braces and quotes.

    Joining the parts with commas gives `text` again. A bracket or quote that is never closed holds
    everything after it.
    """
    cuts = [index for index, depth in _outside_quotes(text) if text[index] == "," and depth == 0]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def combinations(settings: Sequence[str]) -> list[tuple[str, ...]]:
    """Every choice of one value for each `KEY=A,B`, the last key varying fastest.

    Raises `LatteError` for an empty value in a list, and for a key that is given twice.
    """
    keys = [setting.partition("=")[0] for setting in settings]
    for key in keys:
        if keys.count(key) > 1:
            raise LatteError(
                "is given twice", where=f"--set {key}", hint=f"List its values: --set {key}=A,B"
            )
    return [*product(*(_alternatives(setting) for setting in settings))]


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers, each once. Raises `LatteError`."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdecimal()):
            raise LatteError(
                f'"{part}" is not a seed', where="--seeds", hint="As in: --seeds 0,1,2"
            )
    return [*dict.fromkeys(map(int, parts))]


def _alternatives(setting: str) -> list[str]:
    key, equals, value = setting.partition("=")
    values = split_values(value)
    if len(values) > 1 and not all(one.strip() for one in values):
        raise LatteError(
            "a value in this list is empty",
            where=f"--set {setting}",
            hint="Write null for none, and put a text that contains commas in quotes.",
        )
    return [f"{key}{equals}{one}" for one in values]


def _outside_quotes(text: str) -> Iterator[tuple[int, int]]:
    """Each index outside quotes, with the number of brackets that are open there."""
    open_brackets: list[str] = []
    index, before = 0, ","
    while index < len(text):
        character = text[index]
        if character in _ESCAPES and before in _BEFORE_A_QUOTE:
            index = _after_quote(text, index)
        else:
            if character in _CLOSING:
                open_brackets.append(_CLOSING[character])
            elif open_brackets and character == open_brackets[-1]:
                open_brackets.pop()
            yield index, len(open_brackets)
            index += 1
        before = character


def _after_quote(text: str, start: int) -> int:
    """Where the quoted text that starts at `start` is over; YAML's rules for quotes inside it."""
    quote, index = text[start], start + 1
    while index < len(text):
        if text.startswith(_ESCAPES[quote], index):
            index += 2
        elif text[index] == quote:
            return index + 1
        else:
            index += 1
    return len(text)
