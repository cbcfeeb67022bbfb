"""A run folder that is read: its record, the rows about its images, and what it can be named by.

Imports no torch.
"""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.interfaces.record import RunRecord
from latte.io.paths import exists, is_folder, relative
from latte.results.folder import PREVIOUS, RunFolder
from latte.results.metrics_log import read_metrics
from latte.results.rows import Rows
from latte.results.stages import STAGES

_DEPTH_IN_RUN = 3
"""Depth of the folders in a run folder, as in `RUN/models/adapted/model`."""
_SHOWN_RUNS = 3


class Run:
    """A run: its folder, and its record and rows, which are read when they are first used.

    If a file is missing or damaged, access to an attribute raises a `LatteError` that names the
    file and the fix.

    Example:
        from latte.api.runs import Run

        def headline(run: Run) -> str:
            return f"{run.folder.path.name}: {len(run.record.data.class_names)} classes"
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @cached_property
    def record(self) -> RunRecord:
        """Everything that the run knows about itself, from `results.json`."""
        return self.folder.results.read()

    @cached_property
    def rows(self) -> Rows:
        """Rows about the run's images."""
        return Rows(self.folder, self.class_names)

    @cached_property
    def metrics(self) -> tuple[dict[str, Any], ...]:
        """The rows of `metrics.jsonl`."""
        return tuple(read_metrics(self.folder.metrics))

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The resolved recipe; environment variables in its values are not replaced."""
        return self.record.source.values

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The C class names, in label order. Raises `LatteError` if the run has no model."""
        self.require_model()
        return self.record.data.class_names

    def require_model(self) -> None:
        """Raise `LatteError` if the run has no trained model."""
        if not self.folder.adapted_model.prototypes.exists():
            raise LatteError(
                "there is no trained model in this run folder",
                where=str(self.folder.path),
                hint="give the folder that `latte run` named at its end, or run its recipe to the "
                "end",
            )

    def unfinished(self, stage: str) -> LatteError:
        """Return an error: `stage` is missing, so that the folder may mix files of two runs."""
        what = f"this run is not finished (stage {stage} is missing)"
        hint = f"finish it: {self.repeat_command()}"
        return LatteError(what, where=str(self.folder.path), hint=hint)

    @property
    def recipe_path(self) -> Path:
        """Path of the recipe's file; the new path if folder and recipe were moved together."""
        source = self.record.source
        path = Path(source.recipe)
        if source.recipe_from_run is None or exists(path):
            return path
        moved = Path(os.path.normpath(self.folder.path / source.recipe_from_run))
        return moved if exists(moved) or not is_folder(path.parent) else path

    def repeat_command(self, *options: str, name: str | None = None) -> str:
        """Return the command that makes this run again, or finishes it, with more `options`.

        `name` is the text that names the run folder; the default is its path.
        """
        if self.folder.results.exists():
            source = self.record.source
            options += () if source.limit is None else ("--limit", str(source.limit))
            options += () if source.plugin is None else ("--plugin", relative(Path(source.plugin)))
        recipe = f"{name or relative(self.folder.path)}/recipe.yaml"
        return shlex.join(["latte", "run", recipe, *options])


def open_run(path: Path) -> Run:
    """Open the run folder at `path`. Raises `LatteError` if `path` is not a run folder.

    Example:
        from pathlib import Path

        from latte.api.runs import open_run

        stages = open_run(Path("runs/demo-1a2b3c4d")).record.stages
    """
    folder = RunFolder(path.absolute())
    if not folder.recipe.exists():
        raise LatteError("this is not a run folder", where=str(path), hint=_near_runs(path))
    folder.results.refuse_earlier_layout()
    return Run(folder)


def find_runs(path: Path) -> list[Path]:
    """Return `path` if it is a run folder, else the run folders directly in it, sorted by name.

    A run that was moved aside because its images changed is returned only if `path` names it.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.runs import find_runs
        >>> find_runs(Path("runs"))
        []
    """
    if RunFolder(path).recipe.is_file():
        return [path]
    folders = sorted(path.iterdir()) if is_folder(path) else []
    runs = [folder for folder in folders if RunFolder(folder).recipe.is_file()]
    return [folder for folder in runs if folder.suffix != PREVIOUS]


def open_finished(path: Path) -> Run:
    """Open the run folder at `path`; results may be missing.

    Raises `LatteError` if `path` is not a run folder, or if a repeated run was interrupted, so that
    the folder mixes files of two runs.
    """
    run = open_run(path)
    written = {"judge": run.folder.adapted_model.prototypes, "evaluate": run.folder.predictions}
    begun = [stage for stage, file in written.items() if file.exists()]
    due = STAGES[: STAGES.index(begun[-1]) + 1] if begun else ()
    missing = next((stage for stage in due if stage not in run.record.stages), None)
    if missing is not None:
        raise run.unfinished(missing)
    return run


def _near_runs(path: Path) -> str | None:
    """Return a hint: the run folder that contains `path`, or run folders that `path` may mean."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps `..` as a parent
    for parent in place.parents[:_DEPTH_IN_RUN]:
        run = RunFolder(parent)
        if run.recipe.exists() and run.results.path.exists():  # not a folder with any recipe.yaml
            return f"it is part of the run folder {relative(parent)}: name that"
    # Reports name a run folder without its parent.
    deeper = sorted(place.parent.glob(f"*/{glob.escape(place.name)}/recipe.yaml"))
    if place.name and deeper:
        names = " or ".join(relative(recipe.parent) for recipe in deeper[:_SHOWN_RUNS])
        return f"Did you mean {names}?"
    recipes = path.glob("*/recipe.yaml")
    inside = sorted(recipes, key=lambda recipe: recipe.stat().st_mtime, reverse=True)
    if inside:
        shown = ", ".join(str(recipe.parent) for recipe in inside[:_SHOWN_RUNS])
        further_runs = f" and {len(inside) - _SHOWN_RUNS} more" if len(inside) > _SHOWN_RUNS else ""
        return f"name a run folder in it, the newest first: {shown}{further_runs}"
    beside = sorted(recipe.parent.name for recipe in place.parent.glob("*/recipe.yaml"))
    return f"run folders beside it: {', '.join(beside)}" if beside else None
