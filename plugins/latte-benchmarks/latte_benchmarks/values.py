"""Values of recipe keys on the command line of a sweep, separated by commas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from latte.api import LatteError

_CLOSING = {"[": "]", "{": "}"}
_TOKEN = re.compile(
    r"""(?<![^ \t,:\[{])"(?:\\.|[^"\\])*(?:"|\\?\Z)|(?<![^ \t,:\[{])'(?:''|[^'])*(?:'|\Z)|.""",
    re.DOTALL,
)
"""Pattern of one token: a text in quotes, by YAML's rules, or one character. A quote opens a text
only after white space, a comma, a colon or an opening bracket; elsewhere it is an apostrophe."""


def split_values(text: str) -> list[str]:
    """Split `a,b` at its commas, but not at commas within brackets, braces or quotes.

    After a bracket or quote that is not closed, no comma splits the text.
    """
    values, closing = [""], ""
    for token in _TOKEN.findall(text):
        if token == "," and not closing:
            values.append("")
            continue
        values[-1] += token
        if token in _CLOSING:
            closing += _CLOSING[token]
        elif closing.endswith(token):
            closing = closing[:-1]
    return values


def key_of(override: str) -> str:
    """Return the key of a `KEY=VALUE` text."""
    return override.partition("=")[0]


def combinations(settings: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all combinations of one value per setting `KEY=A,B`; the last key varies fastest.

    Raises `LatteError` if a value in a list is empty, or a key is given twice.
    """
    keys = [key_of(setting) for setting in settings]
    for key in keys:
        if keys.count(key) > 1:
            raise LatteError(
                "is given twice", where=f"--set {key}", hint=f"List its values: --set {key}=A,B"
            )
    return [*product(*(_alternatives(setting) for setting in settings))]


def _alternatives(setting: str) -> list[str]:
    key, equals, value = setting.partition("=")
    values = split_values(value)
    if len(values) > 1 and not all(value.strip() for value in values):
        raise LatteError(
            "a value in this list is empty",
            where=f"--set {setting}",
            hint="Write null for none, and put a text that contains commas in quotes.",
        )
    return [f"{key}{equals}{value}" for value in values]


def parse_seeds(text: str | None) -> list[int]:
    """Return the distinct seeds in a text like `0,1,2`; none for None.

    Raises `LatteError` for other texts.
    """
    numbers = [] if text is None else [part.strip() for part in text.split(",")]
    for part in numbers:
        if not (part.isascii() and part.isdecimal()):
            raise LatteError(
                f'"{part}" is not a seed', where="--seeds", hint="As in: --seeds 0,1,2"
            )
    return [*dict.fromkeys(map(int, numbers))]
