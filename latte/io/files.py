"""Write files atomically: first under a temporary name, then renamed when they are complete."""

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
    """Return the umask of this process, which can only be read by changing and restoring it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _read_umask()
_ABANDONED_SECONDS = 86_400.0
"""Age in seconds (one day) from which a temporary file counts as abandoned."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` if the block succeeds.

    The content reaches the disk before the rename, so a crash leaves the old file or the new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A process id is not unique: two machines that share a folder may have equal ids.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # Some libraries, such as safetensors, write files that only their owner can read.
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
    """Write `lines` as UTF-8, each followed by a line feed; the write is atomic."""
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; the write is atomic."""
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
    """Return the `digest` of parts that are read one by one; memory views must be of bytes."""
    hasher = hashlib.blake2b(digest_size=16)
    for data in parts:
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """Return a digest of JSON data that does not depend on the order of keys."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False))


def sync_files(folder: Path) -> None:
    """Flush every file directly in `folder` to disk; call this before renaming the folder."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
