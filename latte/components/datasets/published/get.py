"""Download, verify and unpack a dataset into CoOp's folder layout; make a missing split file.

Archives are untrusted: nothing is written outside the folder into which they are unpacked.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from latte.api import LatteError, Progress
from latte.components.datasets.published.dataset import missing
from latte.components.datasets.published.download import RemoteFile, download, remote_files
from latte.components.datasets.published.facts import SPLITS_PAGE, Facts
from latte.components.datasets.published.make_split import make_split

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")

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
"""Exceptions that Python's archive modules raise for damaged, encrypted or unknown archives."""

_MOST_TIMES = 100

_ALWAYS_FINE = 1 << 30
"""Unpacked content above this size in bytes must have at most 100 times the archive's size."""

_UNPACKING = ".unpacking"
"""Folder for unpacking, inside the dataset's folder, so that files can be moved by renaming."""


def get_dataset(
    facts: Facts,
    root: Path,
    progress: Progress,
    *,
    archives: Callable[[Facts], Sequence[RemoteFile]] = remote_files,
) -> None:
    """Download missing files to `root` and make a missing split file, as far as possible.

    Prints what must be done by hand. Archives are deleted after they are unpacked; other existing
    files are not changed.
    """
    if any(name != facts.split for name in missing(facts, root)):
        if facts.torchvision:
            _get_images(facts, root, progress, archives(facts))
        else:
            progress.say(f"{facts.name} cannot be downloaded by latte. {facts.by_hand}")
    if facts.split and not (root / facts.split).is_file():
        progress.say(f"{facts.split} is not there; its authors publish it: {SPLITS_PAGE}")
        try:
            made = make_split(facts, root)
        except LatteError as error:
            progress.say(f"None can be made here: {error}")
        else:
            progress.say(f"{root / facts.split} is a stand-in. {made}")


def _get_images(facts: Facts, root: Path, progress: Progress, files: Sequence[RemoteFile]) -> None:
    paths = [download(file, root, progress) for file in files]
    packed = [path for path in paths if path.name.endswith(ARCHIVES)]
    unpacked = root / _UNPACKING
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        for path in packed:
            unpack(path, unpacked, progress)
        content = unpacked / facts.inside
        if content.name.endswith(ARCHIVES) and content.is_file():
            archive, content = content, unpacked / f"{_UNPACKING}-inner"
            unpack(archive, content, progress)
        _move(content, root, facts)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    for path in packed:
        path.unlink()


def _move(content: Path, root: Path, facts: Facts) -> None:
    if not content.is_dir():
        raise LatteError(
            f"the archive holds no {facts.inside}",
            where=str(root),
            hint=f"Unpack it by hand; what belongs where: latte datasets show {facts.name}",
        )
    for entry in sorted(content.iterdir()):
        if not (root / entry.name).exists():
            entry.rename(root / entry.name)


def unpack(archive: Path, folder: Path, progress: Progress) -> None:
    """Unpack a ZIP or (compressed) TAR into `folder`.

    Raises `LatteError` for an archive that is damaged, has links or paths outside `folder`, or
    unpacks to far more than its own size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = -(-archive.stat().st_size // _MEBIBYTE)
    try:
        with progress.task(f"unpacking {archive.name}", total, "MiB") as task:
            done = 0
            unpacking = _unzip if zipfile.is_zipfile(archive) else _untar
            for position in unpacking(archive, folder):
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


def _untar(archive: Path, folder: Path) -> Iterator[int]:
    """Unpack member by member; yield the number of archive bytes read so far."""
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
