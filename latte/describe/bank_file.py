"""`descriptions.jsonl` in a run folder: one line a training image, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from latte.files import write_atomically
from latte.interfaces import LatteError


@dataclass(frozen=True)
class BankLine:
    """Everything that was written about one training image."""

    id: str
    frozen_label: int
    frozen_class: str
    """The name of `frozen_label`, for people who read the file."""
    texts: Mapping[str, tuple[str | None, ...]]
    """By description, at least one; None where the describer refused."""
    groups: Mapping[str, tuple[str, ...]]
    """Ids of the images shown together, for group descriptions."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Which of the groups that images share it is, for group descriptions with fewer groups."""


def write_bank(path: Path, lines: Iterable[BankLine]) -> None:
    """Write all `lines` to `path`, whole or not at all."""
    with write_atomically(path) as temporary, _open_for_writing(temporary) as file:
        for line in lines:
            descriptions = {
                label: _said(texts) | _members(line, label) for label, texts in line.texts.items()
            }
            fields = {
                "id": line.id,
                "frozen_label": line.frozen_label,
                "frozen_class": line.frozen_class,
                "descriptions": descriptions,
            }
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def read_bank(path: Path, labels: Sequence[str], classes: int) -> Iterator[BankLine]:
    """Read what `write_bank` wrote, line by line: the descriptions `labels` of every image.

    Raises `LatteError` for a file that is missing, damaged, or lacks one of `labels`.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                yield _parse(text, f"{path}:{number}", labels, classes)
    except UnicodeDecodeError as error:
        raise _damaged(str(path), "not UTF-8 text") from error
    except OSError as error:
        raise LatteError(
            f"descriptions cannot be read: {error.strerror or error}",
            where=str(path),
            hint="describe the images first",
        ) from error


def _open_for_writing(path: Path) -> TextIO:
    # Surrogates of undecodable file names become \\udcXX, which is how JSON escapes them.
    return path.open("w", encoding="utf-8", errors="backslashreplace")


def _said(texts: tuple[str | None, ...]) -> dict[str, Any]:
    return {"text": texts[0]} if len(texts) == 1 else {"texts": list(texts)}


def _read_said(described: Mapping[str, Any]) -> tuple[str | None, ...]:
    texts = described["texts"] if "texts" in described else [described["text"]]
    if not isinstance(texts, list) or not texts:
        raise ValueError("no list of texts")
    if not all(isinstance(text, str | None) for text in texts):
        raise ValueError("something else than texts")
    return tuple(texts)


def _members(line: BankLine, label: str) -> dict[str, Any]:
    members = {"group": list(line.groups[label])} if label in line.groups else {}
    return members | ({"number": line.numbers[label]} if label in line.numbers else {})


def _parse(text: str, where: str, labels: Sequence[str], classes: int) -> BankLine:
    try:
        fields: dict[str, Any] = json.loads(text)
        described = {label: fields["descriptions"][label] for label in labels}
        line = BankLine(
            id=_text(fields["id"]),
            frozen_label=int(fields["frozen_label"]),
            frozen_class=fields["frozen_class"],
            texts={label: _read_said(of) for label, of in described.items()},
            groups={
                label: tuple(map(_text, of["group"]))
                for label, of in described.items()
                if "group" in of
            },
            numbers={label: int(of["number"]) for label, of in described.items() if "number" in of},
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error
    if not 0 <= line.frozen_label < classes:
        raise _damaged(where, f"frozen label {line.frozen_label} of {classes} classes")
    return line


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("an id is no text")
    return value


def _damaged(where: str, why: str) -> LatteError:
    return LatteError(
        f"the line does not fit this recipe ({why})",
        where=where,
        hint="remove the file to have it written anew; stored texts are reused",
    )
