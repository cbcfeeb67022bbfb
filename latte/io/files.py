"""Files that are either whole or absent: written under a temporary name, then renamed."""

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
    """Return the umask of this process; it can only be read by setting it, so it is set twice."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _read_umask()
_ABANDONED_SECONDS = 86_400.0
"""No file takes that long to write."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s place if the block succeeds.

    The content reaches the disk before the rename: a crash leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Process ids are not enough: machines that share a folder may have the same ones.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # Some writers, such as safetensors, make files that only their owner can read.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, older_than: float = _ABANDONED_SECONDS) -> None:
    """Remove temporary files that killed `write_atomically` calls left directly in `folder`.

    `older_than` is in seconds; -inf removes all, which is safe only if no process is writing.
    """
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to a temporary name, then rename it: `path` is never incomplete.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import write_text
        >>> write_text(Path("notes.txt"), "a grey cat")
        >>> Path("notes.txt").read_text(encoding="utf-8")
        'a grey cat'
    """
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write `lines` as UTF-8, one after the other; whole or not at all."""
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def digest(*parts: str | bytes) -> str:
    """Return a 128-bit hex digest of `parts`; ("ab", "c") and ("a", "bc") differ.

    Example:
        >>> from latte.api import digest
        >>> len(digest("model-1", "temperature=0"))
        32
    """
    return digest_stream(part.encode() if isinstance(part, str) else part for part in parts)


def digest_stream(parts: Iterable[bytes | memoryview]) -> str:
    """`digest` of parts of which no two need to be in memory at once; views are of bytes."""
    hasher = hashlib.blake2b(digest_size=16)
    for data in parts:
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """A digest of plain data that does not depend on the order of keys."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False))


def sync_folder(folder: Path) -> None:
    """Make every file directly in `folder` reach the disk, before the folder is renamed."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
