"""What a sweep runs: recipes x values x seeds, all valid before the first one starts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.compare.values import combinations
from latte.interfaces import LatteError, RecipeErrors
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.node import OVERRIDE
from latte.registry.registry import Registry
from latte.run.folder import RunFolder
from latte.run.workspace import run_folder

_SEED = "seed"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    recipe: Recipe
    overrides: tuple[str, ...]
    """`KEY=VALUE`, as `latte run --set` takes them."""
    limit: int | None

    @property
    def folder(self) -> RunFolder:
        """Named by the recipe's content, so the same run has the same folder the next time."""
        return run_folder(self.recipe, self.limit)

    @property
    def finished(self) -> bool:
        """Whether there is a result to compare already; a damaged folder has none."""
        try:
            return self.folder.finished("evaluate") is not None
        except LatteError:
            return False

    @property
    def title(self) -> str:
        """The recipe's name and what is set in it."""
        return " ".join([self.recipe.general.name, *self.overrides])

    @property
    def command(self) -> str:
        """What runs this one alone."""
        settings = [part for override in self.overrides for part in ("--set", override)]
        limit = [] if self.limit is None else ["--limit", str(self.limit)]
        return shlex.join(["latte", "run", str(self.recipe.path), *settings, *limit])


def plan_sweep(
    recipes: Sequence[Path],
    settings: Sequence[str],
    seeds: Sequence[int],
    registry: Registry,
    limit: int | None = None,
) -> list[PlannedRun]:
    """Every run, each once: by recipe, then values, then seed.

    Without `seeds` each recipe keeps its own. Raises `RecipeErrors` with every mistake of every
    recipe and combination.
    """
    _refuse_two_sources_of_seeds(settings, seeds)
    seed_lists = [[f"{_SEED}={seed}"] for seed in seeds] or [[]]
    choices = [(*values, *seed) for values in combinations(settings) for seed in seed_lists]
    planned: dict[Path, PlannedRun] = {}
    errors: list[LatteError] = []
    for path in recipes:
        for overrides in choices:
            try:
                run = PlannedRun(load_recipe(path, registry, overrides), overrides, limit)
                planned.setdefault(run.folder.path, run)
            except LatteError as error:
                errors += _located(error, path, ambiguous=len(recipes) > 1)
    if errors:
        raise RecipeErrors([*{str(error): error for error in errors}.values()])
    return [*planned.values()]


def _refuse_two_sources_of_seeds(settings: Sequence[str], seeds: Sequence[int]) -> None:
    if seeds and any(setting.partition("=")[0] == _SEED for setting in settings):
        raise LatteError(
            "the seed is given here and by --seeds", where="--set seed", hint="Keep one of them."
        )


def _located(error: LatteError, path: Path, *, ambiguous: bool) -> list[LatteError]:
    """The mistakes in it; those of `--set` with their recipe, where there are several recipes."""
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    return [
        LatteError(one.what, where=f"{path}: {one.where}", hint=one.hint)
        if ambiguous and (one.where or "").startswith(OVERRIDE)
        else one
        for one in errors
    ]
