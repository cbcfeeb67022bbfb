"""Download a dataset and unpack it into CoOp's folder layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from latte.api import LatteError
from latte_benchmarks.dataset import missing
from latte_benchmarks.download import RemoteFile, download, remote_files
from latte_benchmarks.facts import DatasetFacts
from latte_benchmarks.unpack import unpack

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_UNPACKING = ".unpacking"
"""Folder for unpacking, inside the dataset's folder, so that files can be moved by renaming."""


def get_images(
    facts: DatasetFacts,
    root: Path,
    files_of: Callable[[DatasetFacts], Sequence[RemoteFile]] = remote_files,
) -> None:
    """Download what `root` lacks, except the split file, which no program can download.

    Archives are deleted after they are unpacked; other existing files are not changed.
    """
    if not facts.torchvision or all(name == facts.split for name in missing(facts, root)):
        return
    paths = [download(file, root) for file in files_of(facts)]
    archives = [path for path in paths if path.name.endswith(_ARCHIVES)]
    unpacked = root / _UNPACKING
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        for path in archives:
            unpack(path, unpacked)
        content = unpacked / facts.inside
        if content.name.endswith(_ARCHIVES) and content.is_file():
            archive, content = content, unpacked / f"{_UNPACKING}-inner"
            unpack(archive, content)
        _move(content, root, facts)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    for path in archives:
        path.unlink()


def _move(content: Path, root: Path, facts: DatasetFacts) -> None:
    if not content.is_dir():
        raise LatteError(
            f"the archive holds no {facts.inside}",
            where=str(root),
            hint=f"Unpack it by hand; what belongs where: latte datasets show {facts.name}",
        )
    for entry in sorted(content.iterdir()):
        if not (root / entry.name).exists():
            entry.rename(root / entry.name)
