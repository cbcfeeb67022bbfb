"""The files of a description store: `part-*.jsonl`, each written by one process and only once."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import UnionType
from typing import Any, Self

from latte.interfaces import LatteError
from latte.io.files import digest

SCHEMA = 1
_KINDS: Mapping[str, type | UnionType] = {
    "key": str,
    "text": str | None,
    "failure": str | None,
    "describer": str,
    "prompt": str,
    "images": list,
    "layout": str,
    "sample": int,
}


def part_files(folder: Path) -> list[Path]:
    """All parts, in the order in which they are read: of two texts under one key the first wins."""
    return sorted(folder.glob("part-*.jsonl"))


def part_name() -> str:
    """A name that no other process has, on this machine or another."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-")[:40] or "host"
    return f"part-{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"


def new_part(folder: Path) -> FileIO:
    """An empty part of `folder`, open for appending."""
    folder.mkdir(parents=True, exist_ok=True)
    file = FileIO(str(folder / part_name()), "xb")
    _sync_folder(folder)
    return file


def complete_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """The lines of `path` from the byte `start` on.

    A last one without its end of line is left out: it was torn, or is being written.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except OSError as error:
        raise LatteError(
            f"stored descriptions cannot be read: {error.strerror or error}", where=str(path)
        ) from error


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The record that `line` holds, or None for a line that is damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    if not {"key", "text"} <= record.keys() or not all(
        isinstance(value, _KINDS.get(name, object)) for name, value in record.items()
    ):
        return None
    if not all(isinstance(image, str) for image in record.get("images", ())):
        return None
    return record


def _sync_folder(folder: Path) -> None:
    """Make the new file's name as durable as its content, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# Texts that were paid for, kept across runs: append-only JSONL files, one a writing process.


NO_REASON = "no reason given"
LEAST_ROOM = 2**20
"""Bytes: with less on the disk no batch is begun."""


def request_key(
    images: Sequence[str], prompt: str, fingerprint: str, layout: str, sample: int = 0
) -> str:
    """What a text is stored under: everything that it depends on, and nothing else.

    `images` are content hashes in the order shown (another order is another request),
    `fingerprint` is the describer's, `layout` says how the images are laid out, and `sample`
    counts the answers to the same question.
    """
    if sample == 0:
        return digest("description", layout, fingerprint, prompt, *images)
    return digest("description-sample", str(sample), layout, fingerprint, prompt, *images)


@dataclass(frozen=True)
class StoredText:
    """One answer: a text, or the reason why there is none."""

    key: str
    """From `request_key`."""
    text: str | None
    failure: str | None = None
    """Why `text` is None, for people to read."""
    describer: str = ""
    """Fingerprint of the describer."""
    prompt: str = ""
    images: tuple[str, ...] = ()
    """Content hashes of the images."""
    layout: str = ""
    """How the images were laid out; empty in records that were written before it was kept."""
    sample: int = 0
    refused: bool = False
    """The describer will not write a text however often asked. False where asking again may help,
    as after a crash, and in records that were written before refusals were told from failures."""

    def line(self) -> bytes:
        """The record as one line of JSON, ASCII only."""
        return json.dumps({"schema": SCHEMA, **vars(self)}).encode("ascii") + b"\n"


class DescriptionStore:
    """An index in memory over every `part-*.jsonl` of a folder, and one file of its own to write.

    Several processes, on one machine or several, may use a folder at once: each writes its own
    file and sees what was there when it last read the folder. About a million short texts fit
    comfortably in memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped_lines = 0
        """Unreadable lines met so far (a torn last line is expected after a crash: not one)."""
        self._texts: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._read: dict[Path, int] = {}
        self._file: FileIO | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read what other processes have written meanwhile: only bytes that are new."""
        for path in part_files(self.folder):
            known = self._read.get(path, 0)
            if path.stat().st_size > known:
                self._read[path] = known + self._index(path, known)

    def get(self, key: str) -> str | None:
        """The text under `key`, or None."""
        return self._texts.get(key)

    def refusal(self, key: str) -> str | None:
        """Why the describer refused to write a text under `key`, if it did."""
        return self._refusals.get(key)

    def failure(self, key: str) -> str | None:
        """Why there is no text under `key`, if it was asked for in vain or refused."""
        return self._refusals.get(key, self._failures.get(key))

    def prepare(self) -> None:
        """Raise `LatteError` if texts cannot be written, before anybody pays for them."""
        with self._explained():
            self._own_file()
            if shutil.disk_usage(self.folder).free < LEAST_ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def put_many(self, records: Sequence[StoredText]) -> None:
        """Append `records`; when this returns they are on the disk, whatever happens next.

        A key that has a text keeps it, and one that was refused can only get a text. Raises
        `LatteError` if the disk refuses.
        """
        fresh = {record.key: record for record in records if self._is_news(record)}
        if not fresh:
            return
        self._append(b"".join(record.line() for record in fresh.values()))
        for record in fresh.values():
            self._remember(record.key, record.text, record.failure, record.refused)

    def close(self) -> None:
        """Close the file that this process writes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        """How many texts there are, refusals and failures not counted."""
        return len(self._texts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_news(self, record: StoredText) -> bool:
        if record.key in self._texts:
            return False
        return record.text is not None or record.key not in self._refusals

    def _remember(self, key: str, text: str | None, failure: str | None, refused: bool) -> None:
        if text is not None:
            self._texts.setdefault(key, text)
            self._refusals.pop(key, None)
            self._failures.pop(key, None)
        elif key in self._texts or key in self._refusals:
            return
        elif refused:
            self._refusals[key] = failure or NO_REASON
            self._failures.pop(key, None)
        else:
            self._failures[key] = failure or NO_REASON

    def _index(self, path: Path, start: int) -> int:
        """Remember the complete lines from the byte `start` on; returns how many bytes they are."""
        size = 0
        for line in complete_lines(path, start):
            size += len(line)
            record = parse_line(line)
            if record is None:
                self.skipped_lines += 1
            else:
                refused = record.get("refused") is True
                self._remember(record["key"], record["text"], record.get("failure"), refused)
        return size

    def _append(self, data: bytes) -> None:
        with self._explained():
            file = self._own_file()
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        path = Path(os.fsdecode(file.name))
        self._read[path] = self._read.get(path, 0) + len(data)

    def _own_file(self) -> FileIO:
        if self._file is None:
            self._file = new_part(self.folder)
        return self._file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Close the own file when something goes wrong, and say what.

        Its last line may then be torn, and nothing may ever be appended to a torn line.
        """
        try:
            yield
        except OSError as error:
            self.close()
            raise LatteError(
                f"descriptions cannot be written: {error.strerror or error}",
                where=str(self.folder),
                hint=f"texts that were finished before are safe; {_remedy(error)}",
            ) from error
        except BaseException:
            self.close()
            raise


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space and run again"
    if error.errno == errno.EFBIG:
        return "allow larger files (ulimit -f) and run again"
    return "let this user write there, or choose another place: LATTE_CACHE"
