"""Read files of run folders, which may be untrusted, and check their values.

The context manager `explained` turns errors into a `LatteError` that names the file.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from latte.interfaces import LatteError

LARGEST_SCALE = 1e6
"""Largest plausible scale of similarities; CLIP's own is at most 100."""
LARGEST_WEIGHT = 1e6
"""Largest plausible entry of a prototype or bias; the prototypes of CLIP have unit length."""


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _whole(text: str) -> int:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text[:20]} is too large")
    return int(text)


def checked_names(value: Any) -> tuple[str, ...]:
    """Return the names as a tuple. Raises `ValueError` unless they are a list of distinct texts."""
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError("its names are not a list of texts")
    if len(set(value)) < len(value):
        raise ValueError("a name occurs twice")
    return tuple(value)


LARGEST_JSON = 2**28
"""Largest accepted JSON file in bytes; latte writes at most about fifty bytes per class."""
DO_AGAIN = "remove it and write it again: latte run RECIPE"

_DAMAGE = (
    *(ValueError, ArithmeticError, LookupError, TypeError, RecursionError),
    *(SafetensorError, csv.Error),
)

StoredT = TypeVar("StoredT")


def read_stored(
    path: Path,
    kind: type[StoredT],
    hint: str = DO_AGAIN,
    upgrade: Callable[[Any], Any] | None = None,
) -> StoredT:
    """Return the value in a JSON file, of type `kind`. Raises `LatteError` for another type.

    `upgrade` is called with the content and returns it in the form of this version; if nothing
    differs, it returns the same object.
    """
    with explained(path, hint):
        data = read_bounded(path)
        # Raises `ValueError` unless all numbers are finite and fit into a float.
        content = json.loads(data, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
        if upgrade is not None and (upgraded := upgrade(content)) is not content:
            data = json.dumps(upgraded).encode()
        return TypeAdapter(kind).validate_json(data, strict=True)


def read_json_lines(path: Path, kind: type[StoredT]) -> list[StoredT]:
    """Return the JSON value of each line. Raises `LatteError` unless it has the type `kind`."""
    rows: list[StoredT] = []
    adapter = TypeAdapter(kind)
    with explained(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            with explained(path, line=number):
                rows.append(adapter.validate_json(line, strict=True))
    return rows


@contextmanager
def open_tensors(path: Path, framework: Literal["pt", "np"] = "pt") -> Iterator[Any]:
    """Open a safetensors file; errors in the block become `LatteError`.

    The framework `np` needs no torch.
    """
    with explained(path):
        if not path.is_file():
            raise ValueError("there is no such file")
        with safe_open(path, framework=framework) as file:
            yield file


@contextmanager
def explained(path: Path, hint: str = DO_AGAIN, line: int | None = None) -> Iterator[None]:
    """Turn errors in the `with` block into a `LatteError` that names the file and the fix."""
    where = str(path) if line is None else f"{path}:{line}"
    try:
        yield
    except ValidationError as error:
        raise _damaged(_first(error), where, hint) from error
    except _DAMAGE as error:
        raise _damaged(str(error) or type(error).__name__, where, hint) from error
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise LatteError(what, where=str(path), hint=hint) from error


def metadata(file: Any) -> Any:
    """Return the metadata of a safetensors file. Raises `ValueError` if latte wrote none."""
    stored_metadata = file.metadata() or {}
    if "latte" not in stored_metadata:
        raise ValueError("it was not written by latte")
    return json.loads(stored_metadata["latte"])


def same_count(path: Path, what: str, counts: Sequence[int]) -> None:
    """Raise `LatteError` (the file is damaged) unless all numbers in `counts` are equal."""
    if len(set(counts)) > 1:
        numbers = " and ".join(map(str, dict.fromkeys(counts)))
        raise _damaged(f"it is about {numbers} {what}", str(path), DO_AGAIN)


def _damaged(why: str, where: str, hint: str) -> LatteError:
    line = " ".join(why.split())
    return LatteError(f"this file is damaged ({line[:200]})", where=where, hint=hint)


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a file. Raises `ValueError` if it is no file, or too large."""
    if not path.is_file():
        raise ValueError("there is no such file")
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"it has more than {LARGEST_JSON:,} bytes")
    return path.read_bytes()


def _first(error: ValidationError) -> str:
    first_error = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first_error["loc"]))
    what = str(first_error.get("ctx", {}).get("error", first_error["msg"]))
    return f"{place}: {what}" if place else what
