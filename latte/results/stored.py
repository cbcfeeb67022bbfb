"""A run folder's files as they are read back: whole and of the right shape, or an error that helps.

Run folders come from anywhere, so nothing in them is believed before it was looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from latte.interfaces import LatteError

LARGEST_JSON = 2**28
"""Bytes; the largest that latte writes has some fifty for each class."""
DO_AGAIN = "remove it, and run the recipe again: what it held is then made anew"

StoredT = TypeVar("StoredT")


def read_stored(path: Path, kind: type[StoredT], hint: str = DO_AGAIN) -> StoredT:
    """The value of type `kind` in a JSON file. Raises `LatteError` if it holds none."""
    with explained(path, hint):
        return TypeAdapter(kind).validate_json(_bytes(path), strict=True)


def read_json_lines(path: Path, kind: type[StoredT], hint: str = DO_AGAIN) -> list[StoredT]:
    """A value of type `kind` on each line. Raises `LatteError` with the first line that is none."""
    found: list[StoredT] = []
    adapter = TypeAdapter(kind)
    with explained(path, hint), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            with explained(path, hint, number):
                found.append(adapter.validate_json(line, strict=True))
    return found


@contextmanager
def open_tensors(path: Path, hint: str = DO_AGAIN) -> Iterator[Any]:
    """A safetensors file, open for reading.

    Raises `LatteError` for one that is cut short or lacks what is asked of it inside the block.
    """
    with explained(path, hint):
        if not path.is_file():
            raise ValueError("there is no such file")
        with safe_open(path, framework="pt") as file:
            yield file


@contextmanager
def explained(path: Path, hint: str = DO_AGAIN, line: int | None = None) -> Iterator[None]:
    """Whatever the block finds wrong in `path` comes as a `LatteError` that names it."""
    where = str(path) if line is None else f"{path}:{line}"
    try:
        yield
    except ValidationError as error:
        raise _damaged(_first(error), where, hint) from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, SafetensorError) as error:
        raise _damaged(str(error) or type(error).__name__, where, hint) from error
    except OSError as error:
        raise LatteError(
            f"cannot be read: {error.strerror or error}", where=str(path), hint=hint
        ) from error


def metadata(file: Any) -> Any:
    """What latte noted in a safetensors file. Raises `ValueError` where it noted nothing."""
    noted = file.metadata() or {}
    if "latte" not in noted:
        raise ValueError("it was not written by latte")
    return json.loads(noted["latte"])


def same_count(path: Path, what: str, counts: Sequence[int], hint: str = DO_AGAIN) -> None:
    """Raise `LatteError` unless all `counts` are the same."""
    if len(set(counts)) > 1:
        numbers = " and ".join(map(str, dict.fromkeys(counts)))
        raise _damaged(f"it is about {numbers} {what}", str(path), hint)


def _damaged(why: str, where: str, hint: str) -> LatteError:
    line = " ".join(why.split())
    return LatteError(f"this file is damaged ({line[:200]})", where=where, hint=hint)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError("there is no such file")
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"it has more than {LARGEST_JSON:,} bytes")
    return path.read_bytes()


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
