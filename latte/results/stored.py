"""Read files of run folders, which may be untrusted: return checked values or a clear error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from latte.interfaces import LatteError
from latte.results.checks import check_numbers

LARGEST_JSON = 2**28
"""Largest JSON file in bytes; the largest that latte writes has about fifty bytes per class."""
DO_AGAIN = "remove it and write it again: latte run RECIPE"

_DAMAGE = (ValueError, ArithmeticError, LookupError, TypeError, RecursionError, SafetensorError)
"""Errors of code that reads or shows a damaged file."""

StoredT = TypeVar("StoredT")


def read_stored(path: Path, kind: type[StoredT], hint: str = DO_AGAIN) -> StoredT:
    """Return a JSON file's value as `kind`. Raises `LatteError` if it has another type."""
    with explained(path, hint):
        data = _bytes(path)
        check_numbers(data)
        return TypeAdapter(kind).validate_json(data, strict=True)


def read_json_lines(path: Path, kind: type[StoredT], hint: str = DO_AGAIN) -> list[StoredT]:
    """Return each line's JSON value as `kind`. Raises `LatteError` at the first invalid line."""
    found: list[StoredT] = []
    adapter = TypeAdapter(kind)
    with explained(path, hint), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            with explained(path, hint, number):
                found.append(adapter.validate_json(line, strict=True))
    return found


@contextmanager
def open_tensors(
    path: Path, hint: str = DO_AGAIN, framework: Literal["pt", "np"] = "pt"
) -> Iterator[Any]:
    """Open a safetensors file for reading; the framework `np` needs no torch.

    Raises `LatteError` if the file is missing or damaged, or if the block raises an error about
    its content; see `explained`.
    """
    with explained(path, hint):
        if not path.is_file():
            raise ValueError("there is no such file")
        with safe_open(path, framework=framework) as file:
            yield file


@contextmanager
def explained(path: Path, hint: str = DO_AGAIN, line: int | None = None) -> Iterator[None]:
    """Turn errors of the block into a `LatteError` that names the file `path` and the fix."""
    where = str(path) if line is None else f"{path}:{line}"
    try:
        yield
    except ValidationError as error:
        raise _damaged(_first(error), where, hint) from error
    except _DAMAGE as error:
        raise _damaged(str(error) or type(error).__name__, where, hint) from error
    except OSError as error:
        raise LatteError(
            f"cannot be read: {error.strerror or error}", where=str(path), hint=hint
        ) from error


def metadata(file: Any) -> Any:
    """Return latte's metadata in a safetensors file. Raises `ValueError` if there is none."""
    found = file.metadata() or {}
    if "latte" not in found:
        raise ValueError("it was not written by latte")
    return json.loads(found["latte"])


def same_count(path: Path, what: str, counts: Sequence[int], hint: str = DO_AGAIN) -> None:
    """Raise `LatteError` about the file `path` unless all `counts` of its `what` are equal."""
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
