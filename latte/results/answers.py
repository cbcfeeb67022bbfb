"""The file `review.jsonl`: a person's answers about what images show, one per line.

An image is identified by its content key, a hash of its bytes. Each answer is flushed to the disk
before the next question. A later answer about an image replaces the earlier one; an image whose
answer was undone has no answer.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import IO, Literal

from pydantic import TypeAdapter

from latte.interfaces import LatteError
from latte.io.paths import is_file, is_folder
from latte.results.folder import RunFolder, open_no_link
from latte.results.stored import explained, read_bounded

try:
    import fcntl
except ImportError:  # Windows has no advisory locks: one reviewer at a time
    fcntl = None  # type: ignore[assignment]

Kind = Literal["class", "none", "unsure", "undo"]
"""`class`: the image shows a class; `none`: the image shows no class of the recipe; `unsure`: the
person cannot tell; `undo`: the line withdraws the earlier answer."""

Use = Literal["evidence", "teaching"]
"""`evidence`: the answer measures the gain and never trains a model. `teaching`: the answer is a
training label."""


@dataclass(frozen=True)
class Answer:
    """One line of `review.jsonl`."""

    key: str
    kind: Kind
    label: str | None
    """The name of the class if `kind` is `class`, else None."""
    use: Use
    queue: str
    """Name of the queue (list of questions of one kind) that the question came from."""
    run: str
    """The names of the run folders whose predictions were reviewed."""
    time: str
    """The time of the answer, in UTC."""
    image: str = ""
    """The id of the image, for people who read the file."""


_ADAPTER = TypeAdapter(Answer)


def checked_corrections(path: Path) -> Path:
    """Return `path`. Raises `LatteError` unless it is the `review.jsonl` of a run folder.

    `path` is a recipe's value of `corrections`. A missing run folder is no error, because a run
    that used its answers may have been copied to another machine.
    """
    hint = "latte review RUN writes review.jsonl in the run folder"
    folder = RunFolder(path.parent)
    with explained(path, hint):
        is_run = is_file(folder.recipe) and is_file(folder.training_images)
        named = path.name == folder.review.name and not path.is_symlink()
        if not named or (is_folder(folder.path) and not is_run):
            raise LatteError(
                "`corrections` must be the review.jsonl of a run folder", where=str(path), hint=hint
            )
    return path


def now() -> str:
    """Return the current time for an answer: UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def append_answers(path: Path, answers: Sequence[Answer]) -> None:
    """Append answers and flush them to the disk; several processes can append at the same time."""
    lines = "".join(f"{dumps(asdict(one), ensure_ascii=False)}\n" for one in answers).encode()
    with _locked(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)  # a killed process may have left an incomplete line
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def read_answers(path: Path) -> list[Answer]:
    """Return the answers in order, without incomplete lines; empty if there is no file.

    A byte order mark, which some editors write, is ignored. Raises `LatteError` for a line that is
    no answer, or if an image is both evidence and teaching.
    """
    if not path.exists():
        return []
    found: list[Answer] = []
    uses: dict[str, Use] = {}
    hint = "correct or remove this line"
    with explained(path, hint):
        lines = read_bounded(path).removeprefix(BOM_UTF8).split(b"\n")
    for number, line in enumerate(lines, 1):
        is_incomplete = line.startswith(b"{") and not line.rstrip().endswith(b"}")
        if not line.strip() or is_incomplete:
            continue
        with explained(path, hint, number):
            one = _ADAPTER.validate_json(line, strict=True)
            if (one.kind == "class") != (one.label is not None):
                raise ValueError("an answer has a label if and only if its kind is class")
            if uses.get(one.key, one.use) != one.use:
                raise ValueError(f"the image {one.image or one.key} is both evidence and teaching")
        if one.kind == "undo":
            uses.pop(one.key, None)
        else:
            uses[one.key] = one.use
        found.append(one)
    return found


def newest(answers: Iterable[Answer]) -> dict[str, Answer]:
    """Return the newest answer about each image, by content key; the answer may be an undo."""
    found: dict[str, Answer] = {}
    for one in answers:
        found.pop(one.key, None)
        found[one.key] = one
    return found


def latest(answers: Iterable[Answer]) -> dict[str, Answer]:
    """Return the newest answer about each image, by content key, without undone answers."""
    return {key: one for key, one in newest(answers).items() if one.kind != "undo"}


def teaching_labels(path: Path) -> dict[str, str]:
    """Return the class names that a person gave for training, by content key of the image."""
    return {
        key: one.label
        for key, one in latest(read_answers(path)).items()
        if one.use == "teaching" and one.label is not None
    }


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    hint = "check the folder's permissions"
    with explained(path, hint), open(path, "r+b", opener=open_no_link) as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
