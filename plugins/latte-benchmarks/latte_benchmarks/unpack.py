"""Unpack untrusted archives: nothing is written outside the folder, and bombs are refused."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rich.console import Console
from rich.progress import open as open_with_progress

from latte.api import LatteError

_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)
"""Exceptions that Python's archive modules raise for damaged, encrypted or unknown archives."""

_MOST_TIMES = 100

_ALWAYS_FINE = 1 << 30
"""Unpacked content above this size in bytes must have at most 100 times the archive's size."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ZIP or (compressed) TAR into `folder`; show the progress on stderr.

    Raises `LatteError` for an archive that is damaged, has links or paths outside `folder`, or
    unpacks to far more than its own size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unpack_content = _unzip if zipfile.is_zipfile(archive) else _untar
    title, stderr = f"unpacking {archive.name}", Console(stderr=True)
    try:
        with open_with_progress(archive, "rb", description=title, console=stderr) as content:
            unpack_content(archive, content, folder)
    except tarfile.FilterError as error:
        raise _unsafe(archive, str(error)) from error
    except _DAMAGED as error:
        raise LatteError(
            f"cannot be unpacked: {error}",
            where=str(archive),
            hint="If it is damaged or cut short, delete it and get it again.",
        ) from error


def _untar(archive: Path, content: BinaryIO, folder: Path) -> None:
    with tarfile.open(fileobj=content, mode="r:*") as tar:
        unpacked = 0
        for member in tar:
            if not (member.isreg() or member.isdir()):
                raise _unsafe(archive, f"{member.name!r} is a link or a device")
            unpacked += member.size
            _refuse_bomb(archive, unpacked)
            tar.extract(member, folder, filter="data")


def _unzip(archive: Path, content: BinaryIO, folder: Path) -> None:
    with zipfile.ZipFile(content) as packed:
        members = packed.infolist()
        for member in members:
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise _unsafe(archive, f"{member.filename!r} leads out of the folder")
        _refuse_bomb(archive, sum(member.file_size for member in members))
        for member in members:
            packed.extract(member, folder)


def _refuse_bomb(archive: Path, unpacked: int) -> None:
    if unpacked > max(_ALWAYS_FINE, _MOST_TIMES * archive.stat().st_size):
        raise _unsafe(archive, f"it holds {_MOST_TIMES} times its own size, and more than a GiB")


def _unsafe(archive: Path, why: str) -> LatteError:
    return LatteError(f"is not safe to unpack: {why}", where=str(archive))
