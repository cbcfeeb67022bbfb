"""Unpacks archives that somebody else made: nothing leaves the folder they are unpacked into."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from latte.interfaces import LatteError, Progress

_MEBIBYTE = 1 << 20
_DAMAGED = (tarfile.ReadError, zipfile.BadZipFile, EOFError, zlib.error, OSError)


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
        raise LatteError(f"is not safe to unpack: {error}", where=str(archive)) from error
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
        for member in tar:
            tar.extract(member, folder, filter="data")
            yield raw.tell()


def _unzip(archive: Path, folder: Path) -> Iterator[int]:
    done = 0
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        for member in members:
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                what = f"is not safe to unpack: {member.filename!r} leads out of the folder"
                raise LatteError(what, where=str(archive))
        for member in members:
            content.extract(member, folder)
            done += member.compress_size
            yield done
