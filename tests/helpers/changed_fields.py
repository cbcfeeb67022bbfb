"""Changes of single fields of a run folder's files that keep the field's type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from latte.io.tensor_files import save_tensors

FieldPath = tuple[str | int, ...]

WHOLE = (0, 1, -1, 7, 2**31, 10**18, 10**400)
REAL = (0.0, -1.0, 0.25, 1.5, 1e-300, 1e30, 1e308, float("nan"), float("inf"), -float("inf"))
TEXTS = ("", "x", "\0", "a\nb", "<b>&", "\x1b[31m", "../../x", "zero-shot", "é" * 300)


def other_values(value: object) -> tuple[Any, ...]:
    """Return values of the type of `value`; none for null, lists and mappings."""
    match value:
        case bool():
            return (not value,)
        case int():
            return tuple(number for number in WHOLE if number != value)
        case float():
            return REAL
        case str():
            return tuple(text for text in TEXTS if text != value)
    return ()


def fields(value: Any, place: FieldPath = ()) -> Iterator[FieldPath]:
    """Yield the place of each number, text and truth value in JSON data."""
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields(below, (*place, key))
    elif value is not None:
        yield place


def read(path: Path) -> Any:
    """Return the data of a JSON file, or the list of the lines of a JSONL file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)


def value_at(value: Any, place: FieldPath) -> Any:
    for key in place:
        value = value[key]
    return value


def change(path: Path, place: FieldPath, value: object) -> None:
    """Write `value` at `place` of a JSON or JSONL file."""
    data = read(path)
    value_at(data, place[:-1])[place[-1]] = value
    lines = data if path.suffix == ".jsonl" else [data]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _first_row(fill: float) -> Callable[[Tensor], Tensor]:
    def changed(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        changed[:1] = fill if changed.is_floating_point() or abs(fill) < 2 else 2**40
        return changed

    return changed


TENSOR_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "a zero row": _first_row(0),
    "a large row": _first_row(1e30),
    "a negative row": _first_row(-1),
    "a row of nan": _first_row(float("nan")),
    "all zero": torch.zeros_like,
    "half precision": Tensor.half,
    "double precision": Tensor.double,
    "whole numbers": Tensor.long,
    "narrower": lambda tensor: tensor[..., :-1].contiguous(),
    "a row less": lambda tensor: tensor[:-1].contiguous(),
    "a row more": lambda tensor: torch.cat([tensor, tensor[:1]]),
    "another shape": lambda tensor: tensor.unsqueeze(0),
}


def tensor_names(path: Path) -> list[str]:
    with safe_open(path, framework="pt") as file:
        return sorted(file.keys())


def change_tensor(path: Path, name: str, changed: Callable[[Tensor], Tensor]) -> None:
    """Change one tensor of a file; the digest, if the file has one, is made again."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors[name] = changed(tensors[name])
    if metadata and "digest" in metadata:
        save_tensors(path, tensors)
    else:
        save_file(tensors, path, metadata)
