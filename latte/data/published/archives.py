"""Which archives a dataset comes in: torchvision's own addresses and checksums, at run time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from latte.data.published.facts import Facts
from latte.interfaces import LatteError


@dataclass(frozen=True)
class RemoteFile:
    """One file to download."""

    url: str
    name: str
    md5: str | None
    """Lower-case hex digest; None where torchvision knows none."""


def remote_files(facts: Facts) -> list[RemoteFile]:
    """What torchvision would download. Imports torch. Raises `LatteError` if it knows nothing."""
    from torchvision import datasets

    found: list[RemoteFile] = []
    dataset = getattr(datasets, facts.torchvision, None)
    if dataset is not None:
        # It ends in an error of its own: nothing was unpacked where it looks.
        with (
            _recorded(dataset.__module__, found),
            TemporaryDirectory() as empty,
            suppress(Exception),
        ):
            dataset(root=empty, download=True)
    if not found:
        raise LatteError(
            f"torchvision {version('torchvision')} knows no download of {facts.title}",
            hint=f"Fetch it by hand: {facts.source}",
        )
    return found


@contextmanager
def _recorded(module_name: str, found: list[RemoteFile]) -> Iterator[None]:
    """While this is open, torchvision's module tells what it would download and does not do it."""
    module = importlib.import_module(module_name)

    def record(
        url: str, *_: Any, filename: str | Path | None = None, md5: str | None = None, **__: Any
    ) -> None:
        name = PurePosixPath(str(filename or urlsplit(url).path)).name
        found.append(RemoteFile(url, name, md5))

    names = [
        name for name in ("download_and_extract_archive", "download_url") if name in vars(module)
    ]
    before = {name: getattr(module, name) for name in names}
    try:
        for name in names:
            setattr(module, name, record)
        yield
    finally:
        for name, function in before.items():
            setattr(module, name, function)
