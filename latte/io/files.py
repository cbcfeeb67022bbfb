"""Write files atomically: first under a temporary name, then renamed when they are complete."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.io.system import flush

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Numbers of the errors of a full disk, an exceeded quota, and a file that is too large."""


# The umask of a process can only be read by changing and restoring it.
_UMASK = os.umask(0o022)
os.umask(_UMASK)
_UNKNOWN = "unknown"
_ABANDONED_SECONDS = 86_400.0
"""Age in seconds (one day) from which a temporary file of another machine counts as abandoned."""
_TEMPORARY = re.compile(
    r"\..*\.latte-(?P<machine>\w+)-(?P<process>\d+)-[0-9a-f]{8}\.tmp", re.DOTALL
)


def temporary_beside(path: Path) -> Path:
    """Return an unused temporary path beside `path`, after removing leftovers in the folder."""
    make_folder(path.parent)
    remove_leftovers(path.parent)
    return temporary_name(path)


def temporary_name(path: Path) -> Path:
    """Return an unused temporary path beside `path`.

    The name has the ids of process and machine, so that `remove_leftovers` can find the file.
    """
    process = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name}.latte-{process}.tmp")


def remove_leftovers(folder: Path, *, locked: bool = False) -> None:
    """Remove temporary files and folders that killed processes left directly in `folder`.

    Leftovers of other machines, which may share the folder, are removed after a day. Set `locked`
    if no other process writes to `folder`: all temporary files are then removed.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None:
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    if _is_abandoned(entry, match):
                        shutil.rmtree(entry.path, ignore_errors=True)
                elif locked or _is_abandoned(entry, match):
                    Path(entry.path).unlink()


def _is_abandoned(entry: os.DirEntry[str], name: re.Match[str]) -> bool:
    if name["machine"] == _machine() != _UNKNOWN:
        try:
            os.kill(int(name["process"]), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            return False
        return False
    return time.time() - entry.stat(follow_symlinks=False).st_mtime >= _ABANDONED_SECONDS


@functools.cache
def _machine() -> str:
    """Return an id of this machine that changes at each boot and with the process namespace."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        pid_namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return _UNKNOWN
    return digest(platform.node(), boot_id, str(pid_namespace))[:12]


def rename_to_unused(temporary: Path, path: Path) -> bool:
    """Rename the file `temporary` to `path`; return False if `path` exists already.

    No file that another process writes at the same time is replaced.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:  # this file system has no hard links
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return False
        temporary.replace(path)
        return True
    temporary.unlink()
    return True


@contextmanager
def write_atomically(path: Path, unfinished: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` if the block succeeds.

    The content reaches the disk before the rename, so a power loss leaves the old file or the new
    file. After this returns, a power loss keeps the new file; so of two files that are written in
    turn, the second never survives without the first. If the block fails, the temporary file is
    renamed to `unfinished`, or removed if this is None. `rescue_leftover` restores the temporary
    file of a killed process.
    Raises `LatteError` if `path` is a device or a pipe, which a rename would replace.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import write_atomically
        >>> with write_atomically(Path("weights.bin")) as temporary:
        ...     _ = temporary.write_bytes(b"1234")
        >>> Path("weights.bin").read_bytes()
        b'1234'
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise LatteError(
            "is a device or a pipe, not a file", where=str(path), hint="give the name of a file"
        )
    temporary = temporary_beside(unfinished or path)
    try:
        yield temporary
        flush(temporary)
        # Some libraries, such as safetensors, write files that only their owner can read.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        if unfinished is not None and temporary.exists() and temporary.stat().st_size:
            temporary.replace(unfinished)
        # The name of the file tells users which disk is full.
        disk_is_full = (
            isinstance(error, OSError) and error.errno in _FULL and error.filename is None
        )
        if disk_is_full or type(error).__name__ == "SafetensorError":
            error.filename = str(temporary)  # type: ignore[attr-defined]
        raise
    finally:
        temporary.unlink(missing_ok=True)


def partial_file(path: Path, key: str | None = None) -> Path:
    """Return the file that keeps the rows so far if writing rows to `path` stops early.

    A `key`, which names how the rows were computed, becomes a part of the file's name.
    """
    name = path.name if key is None else f"{path.name}.{digest(key)[:8]}"
    return path.with_name(f"{name}.partial")


def rescue_leftover(path: Path) -> None:
    """Rename the largest temporary file that a killed process left for `path` to `path`.

    A file at `path` that is at least as large is kept.
    """
    sizes = {path: path.stat().st_size} if path.is_file() else {}
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if not match or not entry.name.startswith(f".{path.name}.latte-"):
                continue
            if entry.is_file(follow_symlinks=False) and _is_abandoned(entry, match):
                sizes[Path(entry.path)] = entry.stat().st_size
    largest = max(sizes, key=lambda file: sizes[file], default=path)
    if largest != path:
        largest.replace(path)


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
    """Return the `digest` of an iterable of parts; memory views must consist of bytes."""
    hasher = hashlib.blake2b(digest_size=16)
    for data in parts:
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """Return a digest of JSON data; the order of keys does not change the digest."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False))


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents where they are missing, so that a power loss keeps them."""
    if folder.is_dir():
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to disk, if the system supports it: new, renamed and removed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Flush everything below `folder` to disk: files and names. Call this before a rename."""
    for place, _, names in os.walk(folder):
        for name in names:
            flush(Path(place, name))
        sync_folder(Path(place))
