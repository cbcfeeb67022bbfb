"""Differences between Linux, macOS and Windows: locks of files, and writing to the disk.

On Linux and macOS, locks are advisory and belong to the open file (`flock`). On Windows, a byte far
behind the end of the file is locked, so that everybody can still read the file. Both end with the
process, also if it is killed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # every other system
    msvcrt = None  # type: ignore[assignment]

_FAR = 2**40
"""Place of the byte that a lock of Windows takes."""
_PAUSE = 0.05
"""Seconds between two attempts to lock a file on Windows, which cannot wait for a lock itself."""


def lock(file: IO[Any], *, wait: bool) -> bool:
    """Lock an open file until it is closed, or the process ends.

    Returns:
        False if another process has the lock, and `wait` is False.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
    while not _lock_far_byte(file.fileno()):
        if not wait:
            return False
        time.sleep(_PAUSE)
    return True


def flush(path: Path) -> None:
    """Write the content of a file to the disk. Windows wants the file to be open for writing."""
    with path.open("rb" if fcntl is not None else "r+b") as file:
        os.fsync(file.fileno())


def _lock_far_byte(descriptor: int) -> bool:
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)
    return True
