"""Unpacks archives that somebody else made: nothing leaves the folder they are unpacked into."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from latte.interfaces import LatteError, Progress

_MEBIBYTE = 1 << 20
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
"""What the libraries raise for archives that are damaged, encrypted, or packed in unknown ways."""

_MOST_TIMES = 100
_ALWAYS_FINE = 1 << 30
"""An archive that holds more than this, and so many times its own size, is none of images."""


def unpack(archive: Path, folder: Path, progress: Progress) -> None:
    """The content of a ZIP or (compressed) TAR below `folder`.

    Raises `LatteError` for a damaged archive, and for one whose members or links lead out of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = -(-archive.stat().st_size // _MEBIBYTE)
    try:
        with progress.task(f"unpacking {archive.name}", total, "MiB") as task:
            done = 0
            for position in _positions(archive, folder):
                task.advance(position // _MEBIBYTE - done)
                done = position // _MEBIBYTE
            task.advance(total - done)
    except tarfile.FilterError as error:
        raise _unsafe(archive, str(error)) from error
    except _DAMAGED as error:
        raise LatteError(
            f"cannot be unpacked: {error}",
            where=str(archive),
            hint="If it is damaged or cut short, delete it and get it again.",
        ) from error


def _positions(archive: Path, folder: Path) -> Iterator[int]:
    """Unpack member by member; yields how many bytes of the archive are done."""
    return _unzip(archive, folder) if zipfile.is_zipfile(archive) else _untar(archive, folder)


def _untar(archive: Path, folder: Path) -> Iterator[int]:
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as tar:
        unpacked = 0
        for member in tar:
            if not (member.isreg() or member.isdir()):
                raise _unsafe(archive, f"{member.name!r} is a link or a device")
            unpacked += member.size
            _refuse_bomb(archive, unpacked)
            tar.extract(member, folder, filter="data")
            yield raw.tell()


def _unzip(archive: Path, folder: Path) -> Iterator[int]:
    done = 0
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        for member in members:
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise _unsafe(archive, f"{member.filename!r} leads out of the folder")
        _refuse_bomb(archive, sum(member.file_size for member in members))
        for member in members:
            content.extract(member, folder)
            done += member.compress_size
            yield done


def _refuse_bomb(archive: Path, unpacked: int) -> None:
    if unpacked > max(_ALWAYS_FINE, _MOST_TIMES * archive.stat().st_size):
        raise _unsafe(archive, f"it holds {_MOST_TIMES} times its own size, and more than a GiB")


def _unsafe(archive: Path, why: str) -> LatteError:
    return LatteError(f"is not safe to unpack: {why}", where=str(archive))
