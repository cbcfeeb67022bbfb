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


def exchange_folders(folder: Path, other: Path) -> None:
    """Exchange two folders of one file system in one step; a power loss keeps both.

    Where the system has no such step, `folder` is missing for a moment; if a process is killed in
    this moment, `finish_exchange` brings it back.
    """
    if not _exchanged(os.fsencode(folder), os.fsencode(other)):
        moved = _moved(other)
        folder.rename(moved)
        other.rename(folder)
        moved.rename(other)
    for parent in {folder.parent, other.parent}:
        sync_folder(parent)


def finish_exchange(folder: Path, other: Path) -> None:
    """Bring back the `folder` that a killed process was exchanging with `other`, if it is gone."""
    if _moved(other).exists() and not folder.exists():
        _moved(other).rename(folder)


def _moved(other: Path) -> Path:
    return other.with_name(f"{other.name}.moved")


def _exchanged(folder: bytes, other: bytes) -> bool:
    """Return True if the system has exchanged both folders; False if it cannot do that."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        code = library.renameat2(_HERE, folder, _HERE, other, _EXCHANGE)
    elif hasattr(library, "renamex_np"):
        code = library.renamex_np(folder, other, _EXCHANGE)
    else:
        return False
    number = ctypes.get_errno()
    if code and number not in _UNSUPPORTED:
        raise OSError(number, os.strerror(number), os.fsdecode(folder))
    return not code
