"""What an unquoted scalar means: YAML 1.2's core schema (YAML 1.2.2, section 10.3.2)."""

from __future__ import annotations

import math
import re

from latte.recipe.node import Scalar

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_LONGEST_NUMBER = 400
"""Characters; Python itself refuses to read integers beyond some thousands of digits."""


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises `ValueError` for numbers that a recipe cannot use."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a number that a recipe can use")
    return _number(text)


def _number(text: str) -> int | float | str:
    """`text` as a number if it is one."""
    octal, hexadecimal = _OCTAL.fullmatch(text), _HEXADECIMAL.fullmatch(text)
    integer, floating = _INTEGER.fullmatch(text), _FLOAT.fullmatch(text)
    if not (octal or hexadecimal or floating):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long")
    if octal or hexadecimal:
        return int(text, 0)
    value = int(text) if integer else float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text} is too large")
    return value
