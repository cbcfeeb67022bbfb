"""Brings a dataset into CoOp's layout: download, verify, unpack, make a split where none is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from latte.data.published.archives import RemoteFile, remote_files
from latte.data.published.download import download
from latte.data.published.facts import SPLITS_PAGE, Facts
from latte.data.published.leftovers import ARCHIVES
from latte.data.published.location import missing
from latte.data.published.make_split import make_split
from latte.data.published.unpack import unpack
from latte.interfaces import LatteError, Progress

_UNPACKING = ".unpacking"
"""Below the dataset's folder, so that what was unpacked is moved by renaming."""


def get_dataset(
    facts: Facts,
    root: Path,
    progress: Progress,
    *,
    keep_archives: bool = False,
    archives: Callable[[Facts], Sequence[RemoteFile]] = remote_files,
) -> None:
    """Do everything for `root` that a program can do, and say what it cannot.

    What is there stays as it is. Raises `LatteError` where a download or an archive fails.
    """
    if any(name != facts.split for name in missing(facts, root)):
        if facts.torchvision:
            _get_images(facts, root, progress, archives(facts), keep_archives)
        else:
            progress.say(f"{facts.name} cannot be downloaded by latte. {facts.by_hand}")
    if facts.split and not (root / facts.split).is_file():
        _get_split(facts, root, progress)


def _get_images(
    facts: Facts,
    root: Path,
    progress: Progress,
    files: Sequence[RemoteFile],
    keep_archives: bool,
) -> None:
    paths = [download(file, root, progress) for file in files]
    packed = [path for path in paths if path.name.endswith(ARCHIVES)]
    unpacked = root / _UNPACKING
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        for path in packed:
            unpack(path, unpacked, progress)
        _move(_content(facts, unpacked, progress), root, facts)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    if not keep_archives:
        for path in packed:
            path.unlink()


def _content(facts: Facts, unpacked: Path, progress: Progress) -> Path:
    """The folder whose content belongs into the dataset's folder."""
    inside = unpacked / facts.inside
    if not inside.name.endswith(ARCHIVES) or not inside.is_file():
        return inside
    inner = unpacked / f"{_UNPACKING}-inner"
    unpack(inside, inner, progress)
    return inner


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


def _get_split(facts: Facts, root: Path, progress: Progress) -> None:
    progress.say(f"{facts.split} is not there; its authors publish it: {SPLITS_PAGE}")
    try:
        made = make_split(facts, root)
    except LatteError as error:
        progress.say(f"None can be made here: {error}")
    else:
        progress.say(f"{root / facts.split} is a stand-in. {made}")
