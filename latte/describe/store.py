"""Texts that were paid for, kept across runs: append-only JSONL files, one a writing process."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

from latte.files import digest
from latte.interfaces import LatteError

SCHEMA = 1


def request_key(images: Sequence[str], prompt: str, fingerprint: str, layout: str) -> str:
    """What a text is stored under: everything that it depends on, and nothing else.

    `images` are content hashes in the order shown (another order is another request),
    `fingerprint` is the describer's, `layout` says how the images are laid out.
    """
    return digest("description", layout, fingerprint, prompt, *images)


@dataclass(frozen=True)
class StoredText:
    """One answer: a text, or the reason why there is none."""

    key: str
    """From `request_key`."""
    text: str | None
    failure: str | None = None
    """Why `text` is None. Kept for people to read, and asked again by the next run."""
    describer: str = ""
    """Fingerprint of the describer."""
    prompt: str = ""
    images: tuple[str, ...] = ()
    """Content hashes of the images."""

    def line(self) -> bytes:
        """The record as one line of JSON, ASCII only."""
        fields = {"schema": SCHEMA, "key": self.key, "text": self.text, "failure": self.failure}
        about = {"describer": self.describer, "prompt": self.prompt, "images": list(self.images)}
        return json.dumps(fields | about).encode("ascii") + b"\n"


class DescriptionStore:
    """An index in memory over every `part-*.jsonl` of a folder, and one file of its own to write.

    Several processes may use a folder at once: each writes its own file and sees the texts that
    were there when it opened the folder. About a million short texts fit comfortably in memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped_lines = 0
        """Unreadable lines met at opening (a torn last line is expected after a crash: not one)."""
        self._texts: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._file: FileIO | None = None
        for path in sorted(folder.glob("part-*.jsonl")):
            self._index(path)

    def get(self, key: str) -> str | None:
        """The text under `key`, or None; a failure is never served."""
        return self._texts.get(key)

    def failure(self, key: str) -> str | None:
        """Why there is no text under `key`, if it was asked for in vain."""
        return self._failures.get(key)

    def put_many(self, records: Sequence[StoredText]) -> None:
        """Append `records`; when this returns they are on the disk, whatever happens next.

        A key that has a text already keeps it. Raises `LatteError` if the disk refuses.
        """
        fresh = {record.key: record for record in records if record.key not in self._texts}
        if not fresh:
            return
        self._append(b"".join(record.line() for record in fresh.values()))
        for record in fresh.values():
            self._remember(record.key, record.text, record.failure)

    def close(self) -> None:
        """Close the file that this process writes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        """How many texts there are, failures not counted."""
        return len(self._texts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remember(self, key: str, text: str | None, failure: str | None) -> None:
        if text is not None:
            self._texts.setdefault(key, text)
            self._failures.pop(key, None)
        elif key not in self._texts:
            self._failures[key] = failure or "no reason given"

    def _index(self, path: Path) -> None:
        for line in _complete_lines(path):
            record = _parse(line)
            if record is None:
                self.skipped_lines += 1
            else:
                self._remember(record["key"], record["text"], record.get("failure"))

    def _append(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = _new_part(self.folder)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self.close()
            raise LatteError(
                f"descriptions cannot be written: {error.strerror or error}",
                where=str(self.folder),
                hint="texts that were finished before are safe; free some space and run again",
            ) from error
        except BaseException:
            # The last line may be torn, and nothing may ever be appended to a torn line.
            self.close()
            raise


def _new_part(folder: Path) -> FileIO:
    folder.mkdir(parents=True, exist_ok=True)
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-")[:40] or "host"
    name = f"part-{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
    file = FileIO(str(folder / name), "xb")
    _sync_folder(folder)
    return file


def _sync_folder(folder: Path) -> None:
    """Make the new file's name as durable as its content, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _complete_lines(path: Path) -> Iterator[bytes]:
    """The lines of `path`; a last one without its end of line was torn and is left out."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except OSError as error:
        raise LatteError(
            f"stored descriptions cannot be read: {error.strerror or error}", where=str(path)
        ) from error


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    if not isinstance(record.get("key"), str) or not isinstance(record.get("text"), str | None):
        return None
    return record
