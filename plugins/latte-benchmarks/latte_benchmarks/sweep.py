"""Plan and make the runs of a sweep: all combinations of recipes, values of keys, and seeds."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte.api import LatteError, Progress, RecipeErrors
from latte.api.output import echo, make_progress
from latte.api.runs import PreparedRun, prepare_run
from latte_benchmarks.values import combinations, key_of

_SEED = "seed"
_OVERRIDE = "--set"
"""Start of the location of a mistake in an override, before the key."""


def plan_sweep(
    recipes: Sequence[Path],
    settings: Sequence[str],
    seeds: Sequence[int],
    limit: int | None = None,
) -> list[PreparedRun]:
    """Return all distinct runs, ordered by recipe, then values, then seed.

    If `seeds` is empty, each recipe keeps its own seed. A setting whose key only some recipes have
    is applied only to these recipes. Raises `RecipeErrors` with all mistakes.
    """
    if seeds and any(key_of(setting) == _SEED for setting in settings):
        raise LatteError(
            "the seed is given here and by --seeds", where="--set seed", hint="Keep one of them."
        )
    seed_lists = [[f"{_SEED}={seed}"] for seed in seeds] or [[]]
    choices = [(*values, *seed) for values in combinations(settings) for seed in seed_lists]
    planned: dict[Path, PreparedRun] = {}
    errors: list[LatteError] = []
    dropped: list[tuple[set[str], list[LatteError]]] = []
    for recipe in recipes:
        for overrides in choices:
            try:
                run = prepare_run(recipe, overrides, limit)
            except LatteError as error:
                located = _located(error, recipe, ambiguous=len(recipes) > 1)
                fewer = _without_absent(recipe, overrides, error)
                if fewer == overrides:
                    errors += located
                    continue
                dropped.append(({*map(key_of, overrides)} - {*map(key_of, fewer)}, located))
                run = prepare_run(recipe, fewer, limit)
            planned.setdefault(run.folder, run)
    applied = {key_of(override) for run in planned.values() for override in run.overrides}
    errors += [error for keys, located in dropped if not keys <= applied for error in located]
    if errors:
        raise RecipeErrors([*{str(error): error for error in errors}.values()])
    return [*planned.values()]


def _without_absent(recipe: Path, overrides: tuple[str, ...], error: LatteError) -> tuple[str, ...]:
    """Return `overrides` without overrides of keys that the recipe does not have.

    `error` was raised when the recipe was loaded with `overrides`. If it has another reason too,
    all `overrides` are returned.
    """
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    places = {(mistake.where or "").removeprefix(f"{_OVERRIDE} ") for mistake in errors}
    fewer = tuple(override for override in overrides if key_of(override) not in places)
    if len(overrides) - len(fewer) < len(places):
        return overrides
    try:
        values = prepare_run(recipe, fewer).values
    except LatteError:
        return overrides
    return overrides if any(_has(values, key) for key in places) else fewer


def _has(values: Any, key: str) -> bool:
    """Return True if a resolved recipe has a value at the dotted `key`."""
    for part in key.split("."):
        if isinstance(values, list):
            items = {f"{index}": item for index, item in enumerate(values)}
            mappings = [item for item in values if isinstance(item, Mapping)]
            names = {
                item.get("name") or item.get("use", "").rpartition("/")[2]: item
                for item in mappings
            }
            values = {**names, **items}
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _located(error: LatteError, path: Path, *, ambiguous: bool) -> list[LatteError]:
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    return [
        LatteError(mistake.what, where=f"{path}: {mistake.where}", hint=mistake.hint)
        if ambiguous and (mistake.where or "").startswith(_OVERRIDE)
        else mistake
        for mistake in errors
    ]


@dataclass(frozen=True)
class Failure:
    """A failed run, its title, and the text of its error."""

    run: PreparedRun
    title: str
    error: str


def state(run: PreparedRun) -> str:
    """Return the state of a planned run: `finished`, `begun` or `to do`."""
    return "finished" if run.is_finished else "begun" if run.folder.exists() else "to do"


def make_runs(planned: Sequence[tuple[str, PreparedRun]], *, quiet: bool) -> list[Failure]:
    """Make the planned runs, each with a title, one after another; return the failed runs."""
    failures = []
    progress = make_progress(quiet)
    for index, (title, run) in enumerate(planned):
        if not quiet:
            echo(f"[{index + 1}/{len(planned)}] {title}", err=True)
        try:
            error = _error_of(run, progress)
            gc.collect()  # frees the last run's models, which are in reference cycles
        except KeyboardInterrupt:
            done = f"stopped after {index} of {len(planned)} runs"
            echo(f"\n{done}; the same command continues", err=True)
            raise
        if error is not None:
            failures.append(Failure(run, title, error))
            echo(f"failed: {title}", err=True)
    return failures


def _error_of(run: PreparedRun, progress: Progress) -> str | None:
    """Make a planned run; return the text of its error, or None.

    The exception itself is not returned, because its traceback keeps models in memory.
    """
    try:
        run.start(progress)
    except LatteError as error:
        return str(error)
    except Exception as error:
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return None
