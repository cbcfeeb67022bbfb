"""Downloads of a dataset's archives by torchvision, which knows addresses and checksums.

Another library for downloads, such as pooch, knows neither.
"""

from __future__ import annotations

import http.client
import importlib
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from latte.api import LatteError
from latte_benchmarks.facts import DatasetFacts

SILENT_SECONDS = 60.0
"""A download fails if its server sends nothing for so long."""
_UNFINISHED = ".downloading"
"""Folder in the dataset's folder for a download that is not complete."""
_FAILURES = (OSError, http.client.HTTPException, RuntimeError, ValueError)
"""Exceptions that torchvision raises for servers, disks and wrong checksums."""


@dataclass(frozen=True)
class RemoteFile:
    """One file to download: address, file name and checksum."""

    url: str
    name: str
    md5: str | None
    """MD5 checksum as lower-case hex digits; None if torchvision gives none."""


def remote_files(facts: DatasetFacts) -> list[RemoteFile]:
    """Return the files that torchvision would download. Raises `LatteError` if there are none."""
    from torchvision import datasets

    files: list[RemoteFile] = []
    dataset = getattr(datasets, facts.torchvision, None)
    if dataset is not None:
        # torchvision then raises an error, because nothing was downloaded and unpacked.
        with (
            _recorded(dataset.__module__, files),
            TemporaryDirectory() as empty,
            suppress(Exception),
        ):
            dataset(root=empty, download=True)
    if not files:
        raise LatteError(
            f"torchvision {version('torchvision')} knows no download of {facts.title}",
            hint=f"Fetch it by hand: {facts.source}",
        )
    return files


@contextmanager
def _recorded(module_name: str, files: list[RemoteFile]) -> Iterator[None]:
    """Make a torchvision module append its downloads to `files` instead of starting them.

    torchvision itself would unpack archives without checking links, paths and sizes.
    """
    module = importlib.import_module(module_name)

    def record(
        url: str, *_: Any, filename: str | Path | None = None, md5: str | None = None, **__: Any
    ) -> None:
        name = PurePosixPath(str(filename or urlsplit(url).path)).name
        files.append(RemoteFile(url, name, md5))

    names = ("download_and_extract_archive", "download_url")
    original_functions = {name: vars(module)[name] for name in names if name in vars(module)}
    try:
        vars(module).update(dict.fromkeys(original_functions, record))
        yield
    finally:
        vars(module).update(original_functions)


def download(file: RemoteFile, folder: Path) -> Path:
    """Return the path of `file` in `folder`, downloaded by torchvision if it is not there.

    The checksum is compared in both cases. Raises `LatteError` if the server, the disk or the
    checksum fails; then `folder` has no part of the file.
    """
    from torchvision.datasets.utils import check_integrity, download_url

    target = folder / file.name
    if target.is_file():
        if not check_integrity(target, file.md5):
            raise LatteError(
                f"the MD5 checksum is not {file.md5}, which torchvision expects",
                where=str(target),
                hint="If it is damaged or cut short, delete it and run the command again.",
            )
        return target
    unfinished = folder / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with _timeout(SILENT_SECONDS):
            download_url(file.url, unfinished, file.name, file.md5)
        (unfinished / file.name).rename(target)
    except _FAILURES as error:
        raise LatteError(
            f"cannot be downloaded: {error}",
            where=file.url,
            hint=f"Run the command again, or put a copy of {file.name} into {folder} first.",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Limit how long sockets wait that the `with` block opens; torchvision sets no limit."""
    previous_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous_timeout)
