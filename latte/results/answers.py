"""The file `review.jsonl`: a person's answers about what images show, one per line.

A line may also be a change of the class names, see `ClassChange`.

It is beside the run folders, and all reviews of these runs share it. An image is identified by its
content key, a hash of its file's bytes: an image that is encoded again is another image. Each
answer is flushed to the disk before the next question. A later answer about an image replaces the
earlier one; an image whose answer was undone has no answer.
"""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from io import FileIO
from json import dumps
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from latte.interfaces import LatteError
from latte.io.files import sync_folder, write_text
from latte.io.system import lock
from latte.results.class_lists import ClassChange, ClassChanges
from latte.results.folder import open_no_link
from latte.results.stored import explained, read_bounded

AnswerKind = Literal["class", "none", "unsure", "undo"]
"""`class`: the image shows a class; `none`: the image shows no class of the recipe; `unsure`: the
person cannot tell; `undo`: the line withdraws the earlier answer."""

TaskName = Literal["clusters", "evidence", "images"]
"""The tasks of a review; the queue of an answer is the task that asked for it."""

TITLES: Mapping[TaskName, str] = {
    "clusters": "Name groups",
    "evidence": "Measure",
    "images": "Look through",
}
"""Title of each task, as the page and reports name it."""

UNSEEN = "map"
"""The queue of images that a person named together and did not look at one by one: their answers
teach, but do not measure."""

MEASURING: TaskName = "evidence"
"""The queue whose images are drawn at random, so that answers about them measure the gain."""


@dataclass(frozen=True)
class Answer:
    """One line of `review.jsonl`."""

    key: str
    kind: AnswerKind
    label: str | None
    """The name of the class if `kind` is `class`, else None."""
    queue: str
    """Name of the queue (list of questions of one kind) that the question came from."""
    run: str
    """The names of the run folders whose predictions were reviewed."""
    time: str
    """The time of the answer, in UTC."""
    image: str = ""
    """The id of the image, for people who read the file."""
    before: str = ""
    """The class that the newest model gave to the image when the person answered; empty if unknown.
    """
    model: str = ""
    """Digest of the labels that this model gave to all images; empty if it is unknown. Answers with
    one digest measure the same labels."""
    classes: str = ""
    """Digest of the class names that the person could choose from; empty if it is unknown. With
    other classes, an answer `none` says nothing."""
    by: str = ""
    """Identifier of the model that answered; empty for a person."""
    reliability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability that the answer is right; 1 for a person's."""


_ADAPTER = TypeAdapter(Answer)
_OF_CHANGES = TypeAdapter(ClassChange)
_IS_CHANGE = re.compile(rb'"kind":\s*"classes"')
_LINE_HINT = "correct or remove this line"
_HINT = "free some space, or give this user the permission to write there, and answer again"


def is_about(answer: Answer, classes: str) -> bool:
    """Return True unless it says that none of other classes fits; `classes` is a digest."""
    return answer.kind != "none" or answer.classes in ("", classes)


def with_current_classes(answers: list[Answer], changes: ClassChanges) -> list[Answer]:
    """Return the answers with the names that their classes have after the changes."""
    if not changes.changes:
        return answers
    current = cache(changes.current_answer)
    newest_classes = (current(answer.label, answer.classes) for answer in answers)
    return [
        replace(answer, label=label, classes=classes)
        for answer, (label, classes) in zip(answers, newest_classes, strict=True)
    ]


def now() -> str:
    """Return the current time for an answer: UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def write_answers(path: Path, answers: Sequence[Answer]) -> None:
    """Replace the answers in a file, atomically; remove the file if there are none."""
    if answers:
        write_text(path, _lines(answers))
    else:
        path.unlink(missing_ok=True)


def _lines(answers: Sequence[Answer | ClassChange]) -> str:
    return "".join(f"{dumps(asdict(answer), ensure_ascii=False)}\n" for answer in answers)


def append_answers(path: Path, answers: Sequence[Answer | ClassChange]) -> None:
    """Append lines and flush them to the disk; several processes can append at the same time.

    Raises `LatteError`, and appends nothing, if they cannot be written, as on a full disk.
    """
    lines = _lines(answers).encode()
    with _locked(path) as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            sync_folder(path.parent)  # the file may be new
        else:
            file.seek(size - 1)  # a killed process may have left an incomplete line
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        try:
            _write(file, lines)
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def read_answers(path: Path) -> list[Answer]:
    """Return the answers in order, without incomplete lines; empty if there is no file.

    A byte order mark, which some editors write, is ignored. Only lines that were appended since the
    last call for this file are parsed. Raises `LatteError` for a line that is no answer.
    """
    return _parsed(path)[0]


def read_class_changes(paths: Iterable[Path]) -> ClassChanges:
    """Return the changes of class names in files of answers. Raises `LatteError` as for answers."""
    return ClassChanges(tuple(change for path in paths for change in _parsed(path)[1]))


def _parsed(path: Path) -> tuple[list[Answer], list[ClassChange]]:
    if not path.exists():
        return [], []
    with _PARSED_LOCK:
        parsed = _PARSED.setdefault(path.absolute(), ParsedAnswers(path))
        _PARSED.move_to_end(path.absolute())
        while len(_PARSED) > _MOST_PARSED:
            _PARSED.popitem(last=False)
        return parsed.read(), parsed.changes


class ParsedAnswers:
    """The answers in a file, in memory; lines that are appended later are parsed alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = b""
        self._answers: list[Answer] = []
        self._changes: list[ClassChange] = []
        self.changes: list[ClassChange] = []
        """The changes of class names that the last `read` found."""

    def read(self) -> list[Answer]:
        """Return the answers that the file has now; a file that changed otherwise is read again."""
        with explained(self._path, _LINE_HINT):
            content = read_bounded(self._path)
        if not content.startswith(self._content):
            self._content, self._answers, self._changes = b"", [], []
        complete = content[: content.rfind(b"\n") + 1]
        if len(complete) > len(self._content):
            answers, changes = self._parsed(complete)
            self._answers = [*self._answers, *answers]
            self._changes = [*self._changes, *changes]
            self._content = complete
        answers, changes = self._parsed(content)
        self.changes = [*self._changes, *changes]
        return [*self._answers, *answers]

    def _parsed(self, content: bytes) -> tuple[list[Answer], list[ClassChange]]:
        """Return answers and changes in the lines of `content` that are not in memory."""
        first = self._content.count(b"\n") + 1
        lines = content[len(self._content) :].split(b"\n")
        if first == 1:
            lines[0] = lines[0].removeprefix(BOM_UTF8)
        numbered = enumerate(lines, first)
        parsed = [_answer_in(line, self._path, number) for number, line in numbered]
        answers = [line for line in parsed if isinstance(line, Answer)]
        return answers, [line for line in parsed if isinstance(line, ClassChange)]


_PARSED: OrderedDict[Path, ParsedAnswers] = OrderedDict()
_PARSED_LOCK = Lock()
_MOST_PARSED = 4
"""Number of files whose answers stay in memory."""


def _answer_in(line: bytes, path: Path, number: int) -> Answer | ClassChange | None:
    """Return what a line of a file says; None if the line is empty or incomplete."""
    is_incomplete = line.startswith(b"{") and not line.rstrip().endswith(b"}")
    if not line.strip() or is_incomplete:
        return None
    with explained(path, _LINE_HINT, number):
        if _IS_CHANGE.search(line):
            return _OF_CHANGES.validate_json(line, strict=True)
        answer = _ADAPTER.validate_json(line, strict=True)
        if (answer.kind == "class") != (answer.label is not None):
            raise ValueError("an answer has a label if and only if its kind is class")
    return answer


def newest(answers: Iterable[Answer]) -> dict[str, Answer]:
    """Return the newest answer about each image, by content key; the answer may be an undo."""
    newest_answers: dict[str, Answer] = {}
    for answer in answers:
        newest_answers.pop(answer.key, None)
        newest_answers[answer.key] = answer
    return newest_answers


def latest(answers: Iterable[Answer]) -> dict[str, Answer]:
    """Return the newest answer about each image, by content key, without undone answers."""
    return {key: answer for key, answer in newest(answers).items() if answer.kind != "undo"}


def counts(answer: Answer | None) -> bool:
    """Return True if a person looked at an image and answered, so that it measures.

    A person who left an image out of a group has not answered about it.
    """
    if answer is None or answer.queue == UNSEEN:
        return False
    return answer.kind != "unsure" or answer.queue != "clusters"


def measuring(answers: Sequence[Answer]) -> dict[str, Answer]:
    """Return the newest answers that measure a run, by content key; empty if nobody measures.

    They are those about images that were drawn at random: their question came from the queue
    `MEASURING`, and their answer was not undone. A later answer, in any queue, corrects it. Images
    that a person had looked at before are not drawn again, so their answers are among them.
    """
    drawn = latest(answer for answer in answers if answer.queue == MEASURING)
    newest_answers = latest(answers).items() if drawn else ()
    return {key: answer for key, answer in newest_answers if key in drawn or counts(answer)}


def _write(file: FileIO, content: bytes) -> None:
    """Write to an unbuffered file, and flush it to the disk."""
    while content:
        content = content[file.write(content) :]
    os.fsync(file.fileno())


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    try:
        with open(path, "r+b", buffering=0, opener=open_no_link) as file:
            lock(file, wait=True)
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        what = f"cannot be written: {reason[0].lower()}{reason[1:]}"
        raise LatteError(what, where=str(path), hint=_HINT) from error
