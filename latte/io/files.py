"""Atomic writes: files are written under a temporary name, then renamed. And digests."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def _read_umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _read_umask()
_ABANDONED_SECONDS = 86_400.0
"""Temporary files of this age are abandoned: no file takes a day to write."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` if the block succeeds.

    The content is synced to the disk before the rename, so a crash leaves the old file or the new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Machines that share a folder may have equal process ids, hence the random part.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # Some writers, such as safetensors, create files that only their owner can read.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, older_than: float = _ABANDONED_SECONDS) -> None:
    """Remove temporary files of `write_atomically` in `folder` that are `older_than` seconds.

    With -inf, remove all: for a folder to which no other process can be writing.
    """
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write `lines` as UTF-8, atomically, without holding them all in memory."""
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def digest(*parts: str | bytes) -> str:
    """Return a 128-bit hex digest of `parts`; those of ("ab", "c") and ("a", "bc") differ."""
    return digest_stream(part.encode() if isinstance(part, str) else part for part in parts)


def digest_stream(parts: Iterable[bytes | memoryview]) -> str:
    """Return the `digest` of `parts` that are iterated one by one, to save memory."""
    hasher = hashlib.blake2b(digest_size=16)
    for data in parts:
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """Return a digest of plain data that does not depend on the order of keys."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False))


def sync_folder(folder: Path) -> None:
    """Sync every file directly in `folder` to the disk, before the folder is renamed."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
