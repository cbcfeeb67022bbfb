"""Run a recipe again, and let the new run take the place of the finished one at the end.

A process that is killed at any moment leaves the finished run or the new run in the run folder,
complete in both cases.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from latte import distributed
from latte.interfaces import Progress, RunResults
from latte.io.exchange import exchange_folders, finish_exchange
from latte.io.files import sync_files, temporary_beside
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.results.folder import RunFolder
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder

_BESIDE = ".again"
"""Hidden folder beside the run folders, in which the copy of a run is worked on."""
_LINKED = ".safetensors"
"""Suffix of large files, which latte replaces and never changes, so that copies can share them."""


def run_again(
    recipe: Recipe, registry: Registry, progress: Progress, limit: int | None, output: Path
) -> RunResults | None:
    """Run a recipe; a finished run in its folder stays usable until the new run is complete.

    The stages up to `evaluate` run in a copy of the folder. Reports name the folder, so they are
    written after the copy has taken its place. Returns the results in the main process, otherwise
    None.
    """
    folder = run_folder(recipe, limit, output)
    copy = RunFolder(folder.path.parent / _BESIDE / folder.path.name)
    finish_exchange(folder.path, copy.path)
    if _can_be_copied(folder):
        with folder.lock():
            _copy(folder, copy)
            run_recipe(
                recipe, registry, progress, until="evaluate", limit=limit, output=copy.path.parent
            )
            _replace(folder, copy)
    return run_recipe(recipe, registry, progress, limit=limit, output=output)


def _can_be_copied(folder: RunFolder) -> bool:
    """Return True for a finished run, unless processes share it or the system is Windows.

    Windows cannot rename a folder whose lock file is open.
    """
    is_finished = folder.results.exists() and folder.results.finished("evaluate") is not None
    return is_finished and distributed.world_size() == 1 and os.name != "nt"


def _copy(folder: RunFolder, copy: RunFolder) -> None:
    """Copy a run folder, with the checkpoints of an earlier copy that a killed process left."""
    temporary = temporary_beside(copy.path)
    shutil.copytree(
        folder.path,
        temporary,
        symlinks=True,
        ignore=shutil.ignore_patterns(".lock", "*.tmp"),
        copy_function=_link_or_copy,
    )
    new = RunFolder(temporary)
    if copy.checkpoints.exists():
        shutil.rmtree(new.checkpoints, ignore_errors=True)
        copy.checkpoints.rename(new.checkpoints)
    shutil.rmtree(copy.path, ignore_errors=True)
    new.results.forget("evaluate", "report")  # so that changed images do not move the copy aside
    temporary.rename(copy.path)


def _replace(folder: RunFolder, copy: RunFolder) -> None:
    """Put the copy into the place of the run folder, and remove the earlier run.

    The earlier run moves to `RUN.previous` if its images have changed.
    """
    for entry in folder.own_entries():  # they may have changed since the copy was made
        _take_over(entry, copy.path / entry.name)
    sync_files(copy.path)
    if _images(folder) != _images(copy):
        folder.move_aside(wanted=True)
    exchange_folders(folder.path, copy.path)
    shutil.rmtree(copy.path, ignore_errors=True)
    with suppress(OSError):  # another run may be worked on there
        copy.path.parent.rmdir()


def _images(folder: RunFolder) -> str | None:
    """Return the fingerprint of the images of a run."""
    record = folder.results.recorded("data")
    return None if record is None else record.fingerprint


def _take_over(entry: Path, place: Path) -> None:
    """Replace `place` by `entry`: a file with the same content from now on, or a copied folder."""
    temporary = temporary_beside(place)
    if entry.is_dir() and not entry.is_symlink():
        shutil.copytree(entry, temporary, symlinks=True)
        shutil.rmtree(place, ignore_errors=True)
    else:
        _link(entry, temporary)
    temporary.replace(place)


def _link_or_copy(source: str, target: str) -> None:
    (_link if source.endswith(_LINKED) else shutil.copy2)(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    """Give a file a second name; copy it if the file system has no hard links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
