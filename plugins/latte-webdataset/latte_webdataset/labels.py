"""A sample's label: a class number or a class name, in a file of its own or in its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from latte.api import LatteError
from latte_webdataset.samples import Sample, read_span


class LabelReader:
    """Reads labels as the option `label` says."""

    def __init__(self, label: str, class_names: Sequence[str]) -> None:
        self._extension, _, self._key = label.partition(":")
        self._names = class_names
        self._by_name = {_loosely(name): index for index, name in enumerate(class_names)}

    def read(self, sample: Sample, shard: Path) -> int | None:
        """The class index; None if the sample has no label.

        Raises `LatteError` for a number that is no class, or an unknown name.
        """
        span = sample.files.get(self._extension.lower())
        if span is None:
            return None
        where = f"{shard} {sample.key}.{self._extension}"
        try:
            text = read_span(shard, span).decode("utf-8").strip()
            value = json.loads(text)[self._key] if self._key else text
        except (ValueError, KeyError, TypeError, IndexError) as error:
            what = f"holds no label: {type(error).__name__}: {error}"
            raise LatteError(what, where=where) from error
        return self._index(value, where)

    def _index(self, value: object, where: str) -> int:
        if isinstance(value, str) and not value.isdecimal():
            return self._named(value, where)
        index = int(value) if isinstance(value, int | str) else -1
        if index not in range(len(self._names)):
            raise LatteError(
                f"{value!r} is no class: there are {len(self._names)}, numbered from 0",
                where=where,
                hint="Do the class names belong to these shards?",
            )
        return index

    def _named(self, name: str, where: str) -> int:
        if _loosely(name) not in self._by_name:
            near = get_close_matches(_loosely(name), self._by_name, n=1)
            hint = f"Did you mean {self._names[self._by_name[near[0]]]!r}?" if near else None
            raise LatteError(f"unknown class {name!r}", where=where, hint=hint)
        return self._by_name[_loosely(name)]


def _loosely(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
