"""Check the arguments of `latte.adapt`."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from latte.interfaces import LatteError
from latte.io.paths import given_path

_LIST = 'give a list of the names, as in classes=["cat", "dog"], or the path of a text file'


def given_classes(value: object) -> Path | tuple[str, ...] | None:
    """Return class names, the path of a file with them, or None, as a Python call gives them.

    An iterator is read once. Raises `LatteError` for a set and for any other value.
    """
    if value is None:
        return None
    if isinstance(value, str | PathLike):
        return given_path(value, "classes")
    if not isinstance(value, Iterable):
        what = f"{type(value).__name__} is no list of class names"
        raise LatteError(what, where="classes", hint=_LIST)
    if isinstance(value, set | frozenset):
        what = "the names in a set are in another order in each process"
        raise LatteError(what, where="classes", hint="pass a list, as in classes=sorted(names)")
    names = tuple(value)
    for number, name in enumerate(names):
        if not isinstance(name, str):
            what = f"{name!r} is no class name, because it is no text"
            raise LatteError(what, where=f"classes.{number}", hint=_LIST)
    return names


def given_text(value: object, argument: str, example: str) -> str:
    """Return `value` if it is text, else raise `LatteError` that names the `argument`."""
    if isinstance(value, str):
        return value
    what = f"{value!r} is no text"
    raise LatteError(what, where=argument, hint=f'as in {argument}="{example}"')
