"""Run folders among the folders that somebody names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from latte.compare.run import Run, read_run
from latte.interfaces import LatteError


def read_runs(paths: Sequence[Path]) -> tuple[list[Run], list[LatteError]]:
    """The finished runs in `paths`, each once, and why others were skipped.

    A path is a run folder, or a folder of run folders. Raises `LatteError` if there is no usable
    run at all.
    """
    folders, skipped = _run_folders(paths)
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except LatteError as error:
            skipped.append(error)
    if not runs:
        raise LatteError(
            "there is no finished run",
            hint="\n  ".join([*map(str, skipped), "Finish one first: latte run RECIPE"]),
        )
    return runs, skipped


def _run_folders(paths: Iterable[Path]) -> tuple[list[Path], list[LatteError]]:
    """By their real path, so that one that is named twice is there once."""
    found: dict[Path, Path] = {}
    skipped = []
    for path in paths:
        folders = _below(path)
        if not folders:
            what = "holds no run folders" if path.is_dir() else "there is no such folder"
            skipped.append(LatteError(what, where=str(path)))
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return list(found.values()), skipped


def _below(path: Path) -> list[Path]:
    if _is_run(path):
        return [path]
    return sorted(one for one in path.iterdir() if _is_run(one)) if path.is_dir() else []


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.yaml").is_file()
