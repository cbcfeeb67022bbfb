"""Exchange two folders, so that each name always has one of them."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from latte.io.files import sync_folder

_HERE = -100
"""`AT_FDCWD` of Linux: paths are relative to the working directory."""
_EXCHANGE = 2
"""`RENAME_EXCHANGE` of Linux, and `RENAME_SWAP` of macOS."""
_UNSUPPORTED = frozenset(
    (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.EPERM)
)


def exchange_folders(folder: Path, replacement: Path) -> None:
    """Exchange two folders of one file system in one step; a power loss keeps both.

    Where the system has no such step, `folder` is missing for a moment; if a process is killed in
    this moment, `finish_exchange` brings it back.
    """
    if not _exchanged(os.fsencode(folder), os.fsencode(replacement)):
        moved = _moved(replacement)
        folder.rename(moved)
        replacement.rename(folder)
        moved.rename(replacement)
    for parent in {folder.parent, replacement.parent}:
        sync_folder(parent)


def finish_exchange(folder: Path, replacement: Path) -> None:
    """Bring back `folder`, if it is gone because a process was killed while it exchanged both."""
    if _moved(replacement).exists() and not folder.exists():
        _moved(replacement).rename(folder)


def _moved(replacement: Path) -> Path:
    return replacement.with_name(f"{replacement.name}.moved")


def _exchanged(folder: bytes, replacement: bytes) -> bool:
    """Return True if the system has exchanged both folders; False if it cannot do that."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        code = library.renameat2(_HERE, folder, _HERE, replacement, _EXCHANGE)
    elif hasattr(library, "renamex_np"):
        code = library.renamex_np(folder, replacement, _EXCHANGE)
    else:
        return False
    number = ctypes.get_errno()
    if code and number not in _UNSUPPORTED:
        raise OSError(number, os.strerror(number), os.fsdecode(folder))
    return not code
