"""Images as the argument of `latte.adapt`: a folder, or paths of images."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from latte.interfaces import LatteError
from latte.io.files import digest, write_atomically
from latte.io.paths import given_path, is_file, is_folder, path_as_text

_WHERE = "images"
_HINT = "give a folder, or a list, array or column of paths of images"


def given_images(value: object, output: Path) -> tuple[Path, Path | None]:
    """Return the folder of the images, and a file that lists them; None for the whole folder.

    Paths are written to a CSV file in the folder `output`, relative to the folder that has all of
    them. Raises `LatteError` for anything else than paths.
    """
    if isinstance(value, str | os.PathLike):
        return given_path(value, _WHERE), None
    paths = _paths(value)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    names = sorted({path_as_text(path.relative_to(root).as_posix()) for path in paths})
    file = output / f"{root.name or _WHERE}-{digest(*names)[:8]}.{_WHERE}.csv"
    with (
        write_atomically(file) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        csv.writer(stream).writerows([["path"], *([name] for name in names)])
    return root, file


def _paths(value: object) -> Sequence[Path]:
    """Return the absolute paths in a list, an array or a column of a table."""
    has_one_dimension = len(getattr(value, "shape", (0,))) == 1
    if not isinstance(value, Iterable) or isinstance(value, bytes) or not has_one_dimension:
        raise LatteError(f"{type(value).__name__} is no list of paths", where=_WHERE, hint=_HINT)
    paths = []
    for number, entry in enumerate(value):
        where = f"{_WHERE}.{number}"
        if not isinstance(entry, str | os.PathLike):
            what = f"{type(entry).__name__} is no path"
            raise LatteError(what, where=where, hint=_HINT)
        path = Path(os.path.abspath(given_path(entry, where)))  # noqa: PTH100 - removes `..`
        if is_folder(path):
            raise LatteError(
                f"{entry} is a folder", where=where, hint="give its images, or it alone"
            )
        paths.append(path)
    if not paths:
        raise LatteError("there is no path in it", where=_WHERE, hint=_HINT)
    if not any(map(is_file, paths)):
        what = f"none of the {len(paths):,} images exists, such as {paths[0]}"
        raise LatteError(what, where=_WHERE, hint="paths start at the current folder")
    return paths
