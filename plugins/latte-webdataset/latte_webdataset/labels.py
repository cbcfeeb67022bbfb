"""Reading of labels: class numbers or names, in a sample's label file or its JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from latte.api import ClassLookup, LatteError
from latte_webdataset.samples import TarSample, read_span


class LabelReader:
    """Reader of labels in the format that the option `label` specifies."""

    def __init__(self, label: str, class_names: Sequence[str]) -> None:
        self._extension, _, self._key = label.partition(":")
        self._count = len(class_names)
        self._lookup = ClassLookup(class_names)

    def read(self, sample: TarSample, shard: Path) -> int | None:
        """Return the class index; None without a label. Raises `LatteError` for invalid labels."""
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
            return self._lookup.label(value, where)
        index = int(value) if isinstance(value, int | str) else -1
        if index not in range(self._count):
            raise LatteError(
                f"{value!r} is no class: there are {self._count}, numbered from 0",
                where=where,
                hint="Do the class names belong to these shards?",
            )
        return index
