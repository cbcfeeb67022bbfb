"""Runs that are prepared from recipes in Python: the folder and values of a run, and its start."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.interfaces import ImageReference, LatteError, Progress, RunResults
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.shipped import shipped_path
from latte.registry.registry import load_registry
from latte.run.ready import unloaded_dataset
from latte.run.workspace import run_folder


@dataclass(frozen=True)
class PreparedRun:
    """A run that can be started: a checked recipe, and the largest number of images.

    Runs with equal values have the same folder, so a finished run is not made twice.

    Attributes:
        overrides: Changed values as `KEY=VALUE` texts, as for `latte run --set`.
        limit: Largest number of training images and of evaluation images; None means all.

    Example:
        from latte.api.output import make_progress
        from latte.api.runs import prepare_run

        run = prepare_run("demo", ["seed=1"])
        results = None if run.is_finished else run.start(make_progress())
    """

    _recipe: Recipe = field(repr=False)
    overrides: tuple[str, ...]
    limit: int | None

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self._recipe.name

    @property
    def seed(self) -> int:
        """Seed from which all random choices of the run are derived."""
        return self._recipe.seed

    @property
    def values(self) -> Mapping[str, Any]:
        """The resolved recipe as plain data; environment variables are not replaced."""
        return self._recipe.resolved

    @property
    def folder(self) -> Path:
        """The run folder, which may not exist yet."""
        return run_folder(self._recipe, self.limit).path

    @property
    def is_finished(self) -> bool:
        """True if the run has finished the stage `evaluate`; False if its folder is damaged."""
        try:
            results = run_folder(self._recipe, self.limit).results
            return results.finished("evaluate") is not None
        except LatteError:
            return False

    @property
    def command(self) -> str:
        """The command line that makes this run."""
        settings = [part for override in self.overrides for part in ("--set", override)]
        limit = [] if self.limit is None else ["--limit", str(self.limit)]
        return shlex.join(["latte", "run", str(self._recipe.path), *settings, *limit])

    def training_images(self) -> Sequence[ImageReference]:
        """Return the training images. Raises `LatteError` if the recipe's images are missing."""
        return unloaded_dataset(self._recipe, load_registry()).training_images()

    def start(self, progress: Progress) -> RunResults:
        """Make the run, or what is left of it, and return its results."""
        from latte.io.memory import return_freed_memory
        from latte.run.runner import run_recipe  # imports torch

        try:
            results = run_recipe(self._recipe, load_registry(), progress, limit=self.limit)
        finally:
            return_freed_memory()
        assert results is not None, "the main process returns results after the last stage"
        return results


def prepare_run(
    recipe: Path | str, overrides: Sequence[str] = (), limit: int | None = None
) -> PreparedRun:
    """Check a recipe and return the run that it describes; nothing is computed or written.

    Args:
        recipe: a YAML file, or the name of a recipe that comes with latte.
        overrides: changed values as `KEY=VALUE` texts, as for `latte run --set`.
        limit: largest number of training images and of evaluation images; None means all.

    Raises:
        RecipeErrors: with every mistake of the recipe. The location of a mistake in an override
            is `--set KEY`.
        LatteError: the file cannot be read.

    Example:
        >>> from latte.api.runs import prepare_run
        >>> prepare_run("demo", ["seed=3"], limit=100).seed
        3
    """
    path = Path(recipe)
    shipped = None if path.is_file() else shipped_path(path.as_posix())
    loaded = load_recipe(shipped or path, load_registry(), overrides)
    return PreparedRun(loaded, tuple(overrides), limit)
