"""Read the files of untrusted model folders: no pipe, and nothing that is endless or too large."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.io.paths import is_file, read_text

_INDEX = "model.safetensors.index.json"
"""Name of the file that lists the files of weights that are split."""
LARGEST_CONFIG = 2**24
"""Largest number of bytes of a JSON file in a model folder."""
LARGEST_WEIGHTS = 2**36
"""Largest number of bytes of a file with weights; the largest published CLIP has 2**34."""
_HINT = "download the whole model again"


def read_model_json(path: Path, where: str) -> Any:
    """Return the value in a JSON file of a model folder.

    Raises `LatteError` at the place `where` for a damaged or endless file.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import read_model_json
        >>> path = Path("config.json")
        >>> _ = path.write_text('{"hidden_size": 384}')
        >>> read_model_json(path, "encoders")
        {'hidden_size': 384}
    """
    try:
        if not is_file(path):
            raise ValueError("it is no file")
        return json.loads(read_text(path, LARGEST_CONFIG))
    except (LatteError, ValueError, RecursionError) as error:
        raise LatteError(f"{path} is damaged", where=where) from error


def check_model_file(path: Path, where: str, most: int = LARGEST_WEIGHTS) -> None:
    """Raise `LatteError` at the place `where` unless `path` is a file of at most `most` bytes.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import check_model_file
        >>> path = Path("model.safetensors")
        >>> _ = path.write_bytes(b"weights")
        >>> check_model_file(path, "encoders")
    """
    if not is_file(path):
        raise LatteError(f"{path} is no file", where=where)
    if path.stat().st_size > most:
        raise LatteError(f"{path} has more than {most:,} bytes", where=where, hint=_HINT)


def check_weight_shards(folder: Path, where: str) -> None:
    """Raise `LatteError` at the place `where` if files are missing that an index of weights names.

    A folder without an index is right. A damaged index is an error, too.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import check_weight_shards
        >>> check_weight_shards(Path("model"), "encoders")
    """
    index = folder / _INDEX
    if not index.exists():
        return
    content = read_model_json(index, where)
    try:
        shards = sorted({folder / name for name in content["weight_map"].values()})
    except (KeyError, TypeError, AttributeError) as error:
        raise LatteError(f"{index} is damaged", where=where) from error
    missing_shards = [shard for shard in shards if not shard.is_file()]
    if missing_shards:
        what = f"{folder} lacks weights that its {_INDEX} names: {missing_shards[0].name}"
        raise LatteError(what, where=where, hint=_HINT)


def json_numbers(data: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Yield all numbers in JSON data, however deeply nested, with their keys.

    The numbers of a list have the list's key, and those of `data` itself have `key`.

    Example:
        >>> from latte.api import json_numbers
        >>> [*json_numbers({"depths": [2, 6]})]
        [('depths', 6), ('depths', 2)]
    """
    waiting = [(key, data)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += ((name, child) for child in value)
        elif isinstance(value, int | float):
            yield name, value
