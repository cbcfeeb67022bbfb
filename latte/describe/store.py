"""Store of describers' answers, in append-only JSONL files, so that no request is sent again.

Each process writes its own part file, `part-*.jsonl`, and reads the files of all processes.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import socket
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import UnionType
from typing import Self

from latte.interfaces import FailedRequests, LatteError
from latte.io.files import digest, make_folder, sync_folder

SINGLE, SEPARATE, GRID = "single", "separate", "grid-1"
"""Arrangements of the images in a request: one image, several images, several images in one grid.
The key of a stored text depends on the name of the arrangement, so a grid with another cell size or
gap must get another name."""
SCHEMA = 1
NO_REASON = "no reason given"
MIN_FREE_BYTES = 2**20
MAX_CHARACTERS = 600
"""Largest length of a stored text; CLIP reads at most 77 tokens."""

_FIELD_TYPES: Mapping[str, type | UnionType] = {
    "key": str,
    "text": str | None,
    "failure": str | None,
    "describer": str,
    "prompt": str,
    "images": list,
    "layout": str,
    "sample": int,
    "refused": bool,
}


def request_key(
    images: Sequence[str], prompt: str, fingerprint: str, layout: str, sample: int = 0
) -> str:
    """Return the key under which a text is stored: a digest of everything that it depends on.

    `images` are content hashes in the order shown, `layout` is their arrangement, and `sample` the
    index of the answer if the same question is asked several times.
    """
    if sample == 0:
        return digest("description", layout, fingerprint, prompt, *images)
    return digest("description-sample", str(sample), layout, fingerprint, prompt, *images)


def clean(text: str) -> str:
    """Return `text` as one printable line, truncated after a word to at most `MAX_CHARACTERS`."""
    if not text.isprintable():
        dropped = ("Cc", "Cs")  # control characters and surrogates, but no white space
        text = "".join(
            char for char in text if char.isspace() or unicodedata.category(char) not in dropped
        )
    line = " ".join(text.split())
    if len(line) <= MAX_CHARACTERS:
        return line
    head = line[: MAX_CHARACTERS + 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head[:MAX_CHARACTERS]).strip()


@dataclass(frozen=True)
class StoredText:
    """One stored answer of a describer: a text, or the reason why there is no text."""

    key: str
    text: str | None
    failure: str | None = None
    """Reason why `text` is None; shown to the user."""
    describer: str = ""
    prompt: str = ""
    images: tuple[str, ...] = ()
    """Content hashes of the images, in the order shown."""
    layout: str = ""
    """Arrangement of the images: `single`, `separate` or `grid-1`."""
    sample: int = 0
    refused: bool = False
    """True if the describer refused, so that asking again is useless; False for a failure."""

    @classmethod
    def unanswered(
        cls, describer: str, prompt: str, images: Sequence[str], layout: str, sample: int
    ) -> Self:
        """Return the record of a question whose answer is still missing."""
        key = request_key(images, prompt, describer, layout, sample)
        return cls(key, None, None, describer, prompt, tuple(images), layout, sample)

    def line(self) -> bytes:
        """Return the record as one line of a part file: JSON in ASCII."""
        return json.dumps({"schema": SCHEMA, **vars(self)}).encode("ascii") + b"\n"


def part_files(folder: Path) -> list[Path]:
    """Return all part files of a store, in the order in which they are read.

    If several files have a text with the same key, the first text is used.
    """
    return sorted(folder.glob("part-*.jsonl"))


def part_name() -> str:
    """Return a name for a part file that no other process uses, on any machine."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-")[:40] or "host"
    return f"part-{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"


def complete_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """Yield the complete lines of the file `path` from the byte `start` on.

    A last line without a line feed is left out: a crash truncated it, or it is still being written.
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


def parse_line(line: bytes) -> StoredText | None:
    """Return the record in `line`, or None for a damaged line. Unknown fields are ignored."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    fields = {name: value for name, value in record.items() if name in _FIELD_TYPES}
    if not {"key", "text"} <= fields.keys() or not all(
        isinstance(value, _FIELD_TYPES[name]) for name, value in fields.items()
    ):
        return None
    images = tuple(fields.get("images", ()))
    if not all(isinstance(image, str) for image in images):
        return None
    if fields["text"] is not None and fields["text"] != clean(fields["text"]):
        return None
    return StoredText(**{**fields, "images": images})


class DescriptionStore:
    """Store of answers in a folder: reads all into memory, and appends new answers to a file.

    Several processes, even on several machines, may use one folder at the same time. Each process
    sees the answers that were stored before its last `refresh`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped_lines: int = 0
        """Number of unreadable lines so far; last lines that a crash truncated do not count."""
        self._texts: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._read: dict[Path, int] = {}
        self._file: FileIO | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the answers that other processes have written since the last call."""
        for path in part_files(self.folder):
            end = self._read.get(path, 0)
            if path.stat().st_size <= end:
                continue
            for line in complete_lines(path, end):
                end += len(line)
                record = parse_line(line)
                if record is None:
                    self.skipped_lines += 1
                else:
                    self._remember(record)
            self._read[path] = end

    def get(self, key: str) -> str | None:
        """Return the text stored under `key`; None if there is no text."""
        return self._texts.get(key)

    def refusal(self, key: str) -> str | None:
        """Return the reason why the describer refused the request `key`; otherwise None."""
        return self._refusals.get(key)

    def failure(self, key: str) -> str | None:
        """Return the reason why the request `key` failed or was refused; otherwise None."""
        return self._refusals.get(key, self._failures.get(key))

    def is_answered(self, key: str) -> bool:
        """Return True if the request `key` got a text or was refused."""
        return key in self._texts or key in self._refusals

    def failed_requests(self, keys: Iterable[str]) -> FailedRequests | None:
        """Return how many of the requests `keys` got no answer, and why; None if all have one.

        The next run with these requests sends the failed ones again, after all others.
        """
        requests, reasons = 0, Counter[str]()
        for key in keys:
            requests += 1
            if not self.is_answered(key):
                reasons[self._failures.get(key, NO_REASON)] += 1
        if not reasons:
            return None
        return FailedRequests(reasons.total(), requests, reasons.most_common(1)[0][0])

    def prepare(self) -> None:
        """Raise `LatteError` if the folder cannot be written or the disk is full."""
        with self._explained():
            self._own_file()
            if shutil.disk_usage(self.folder).free < MIN_FREE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def put_many(self, records: Sequence[StoredText]) -> None:
        """Append `records` to the part file, and return when they are on the disk.

        A record is dropped if the store has a text under its key. A record without text is also
        dropped if the store has a refusal. Raises `LatteError` if writing fails.
        """
        new_records = {record.key: record for record in records if self._is_news(record)}
        if not new_records:
            return
        data = b"".join(record.line() for record in new_records.values())
        with self._explained():
            file = self._own_file()
            unwritten = memoryview(data)
            while unwritten:
                unwritten = unwritten[file.write(unwritten) :]
            os.fsync(file.fileno())
        path = Path(os.fsdecode(file.name))
        self._read[path] = self._read.get(path, 0) + len(data)
        for record in new_records.values():
            self._remember(record)

    def close(self) -> None:
        """Close the part file that this process writes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        """Number of stored texts; refusals and failures do not count."""
        return len(self._texts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_news(self, record: StoredText) -> bool:
        if record.key in self._texts:
            return False
        return record.text is not None or record.key not in self._refusals

    def _remember(self, record: StoredText) -> None:
        key = record.key
        if not self._is_news(record):
            return
        self._failures.pop(key, None)
        if record.text is not None:
            self._texts[key] = record.text
            self._refusals.pop(key, None)
        else:
            reasons = self._refusals if record.refused else self._failures
            reasons[key] = record.failure or NO_REASON

    def _own_file(self) -> FileIO:
        if self._file is None:
            make_folder(self.folder)
            self._file = FileIO(str(self.folder / part_name()), "xb")
            sync_folder(self.folder)
        return self._file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Close the part file after an error, because its last line may be incomplete.

        Raises `LatteError` in place of `OSError`.
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
