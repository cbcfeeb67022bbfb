"""Short labels that tell the rows of one method apart: the keys in which their recipes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latte.compare.run import INPUTS
from latte.report.plain import one_line

_LONGEST = 40
_SHOWN_DIGITS = 6
"""Of a digest."""
_ABSENT = object()


def differing_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys in which `settings` are not all the same, in the order of the recipe.

    The digest of the inputs is among them only where nothing else tells two of them apart.
    """
    keys = dict.fromkeys(key for one in settings for key in one)
    differing = [key for key in keys if len({_identity(one, key) for one in settings}) > 1]
    named = [key for key in differing if key != INPUTS]
    apart = {tuple(_identity(one, key) for key in named) for one in settings}
    return named if len(apart) == len(settings) else differing


def labels(settings: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    """`key=value` for each of `keys`, with as much of the key as tells it from the others."""
    return tuple(
        f"{_short(key, keys)}={_text(key, settings[key]) if key in settings else '(none)'}"
        for key in keys
    )


def order(settings: Mapping[str, Any], keys: Sequence[str]) -> tuple[tuple[int, float, str], ...]:
    """A sort key: numbers by size, before texts."""
    return tuple(_rank(settings.get(key)) for key in keys)


def _identity(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key, _ABSENT)
    return "absent" if value is _ABSENT else repr(value)


def _short(key: str, keys: Sequence[str]) -> str:
    parts = key.split(".")
    for start in range(len(parts) - 1, -1, -1):
        short = ".".join(parts[start:])
        alike = [one for one in keys if one == short or one.endswith(f".{short}")]
        if len(alike) == 1:
            return one_line(short)
    return one_line(key)


def _text(key: str, value: Any) -> str:
    if key == INPUTS:
        return str(value)[:_SHOWN_DIGITS]
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(_text('', one) for one in value)}]"
    text = one_line(str(value))
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]


def _rank(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, repr(value))
