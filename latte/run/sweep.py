"""Sweeps: runs of all combinations of recipes, values of keys, and seeds."""

from __future__ import annotations

import gc
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError, Progress, RecipeErrors
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.places import OVERRIDE
from latte.registry.registry import Registry
from latte.registry.spec import NAME, USE
from latte.results.folder import RunFolder
from latte.run.workspace import run_folder

_SEED = "seed"
_CLOSING = {"[": "]", "{": "}"}
_TOKEN = re.compile(
    r"""(?<![^ \t,:\[{])"(?:\\.|[^"\\])*(?:"|\\?\Z)|(?<![^ \t,:\[{])'(?:''|[^'])*(?:'|\Z)|.""",
    re.DOTALL,
)
"""Pattern of one token: a text in quotes, by YAML's rules, or one character. A quote opens a text
only after white space, a comma, a colon or an opening bracket; elsewhere it is an apostrophe."""


@dataclass(frozen=True)
class PlannedRun:
    """One planned run of a sweep: recipe, overrides, and largest number of images."""

    recipe: Recipe
    overrides: tuple[str, ...]
    """`KEY=VALUE` texts, in the format of `latte run --set`."""
    limit: int | None

    @property
    def folder(self) -> RunFolder:
        """The run folder; an equal run in another sweep has the same folder."""
        return run_folder(self.recipe, self.limit)

    @property
    def finished(self) -> bool:
        """True if the run has finished the stage `evaluate`; False if its folder is damaged."""
        try:
            return self.folder.results.finished("evaluate") is not None
        except LatteError:
            return False

    @property
    def title(self) -> str:
        """The recipe's name and the overrides, for messages."""
        return " ".join([self.recipe.name, *self.overrides])

    @property
    def command(self) -> str:
        """The command that runs only this run."""
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
    planned: dict[Path, PlannedRun] = {}
    errors: list[LatteError] = []
    dropped: list[tuple[set[str], list[LatteError]]] = []
    for path in recipes:
        for overrides in choices:
            used = overrides
            try:
                recipe = load_recipe(path, registry, overrides)
            except LatteError as error:
                located = _located(error, path, ambiguous=len(recipes) > 1)
                used = _without_absent(path, registry, overrides, error)
                if used == overrides:
                    errors += located
                    continue
                dropped.append(({key_of(one) for one in overrides if one not in used}, located))
                recipe = load_recipe(path, registry, used)
            run = PlannedRun(recipe, used, limit)
            planned.setdefault(run.folder.path, run)
    known = {key_of(override) for run in planned.values() for override in run.overrides}
    errors += [error for keys, located in dropped if not keys <= known for error in located]
    if errors:
        raise RecipeErrors([*{str(error): error for error in errors}.values()])
    return [*planned.values()]


def key_of(override: str) -> str:
    """Return the key of a `KEY=VALUE` text."""
    return override.partition("=")[0]


def _without_absent(
    path: Path, registry: Registry, overrides: tuple[str, ...], error: LatteError
) -> tuple[str, ...]:
    """Return `overrides` without overrides of keys that the recipe does not have.

    `error` was raised when the recipe was loaded with `overrides`. If it has another reason too,
    all `overrides` are returned.
    """
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    places = {(one.where or "").removeprefix(f"{OVERRIDE} ") for one in errors}
    used = tuple(one for one in overrides if key_of(one) not in places)
    failed = [one for one in overrides if one not in used]
    if len(failed) < len(places):
        return overrides
    try:
        resolved = load_recipe(path, registry, used).resolved
    except LatteError:
        return overrides
    return overrides if any(_has(resolved, key_of(one)) for one in failed) else used


def _has(resolved: Any, key: str) -> bool:
    """Return True if a resolved recipe has a value at the dotted `key`."""
    for part in key.split("."):
        if isinstance(resolved, list):
            items = {f"{index}": item for index, item in enumerate(resolved)}
            named = [one for one in resolved if isinstance(one, Mapping)]
            names = {one.get(NAME) or one.get(USE, "").rpartition("/")[2]: one for one in named}
            resolved = {**names, **items}
        if not isinstance(resolved, Mapping) or part not in resolved:
            return False
        resolved = resolved[part]
    return True


def _located(error: LatteError, path: Path, *, ambiguous: bool) -> list[LatteError]:
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    return [
        LatteError(one.what, where=f"{path}: {one.where}", hint=one.hint)
        if ambiguous and (one.where or "").startswith(OVERRIDE)
        else one
        for one in errors
    ]


@dataclass(frozen=True)
class Failure:
    """A failed run, and the text of its error."""

    run: PlannedRun
    error: str


class SweepInterrupted(KeyboardInterrupt):
    """Interruption by Ctrl-C after `done` runs."""

    def __init__(self, done: int) -> None:
        super().__init__()
        self.done = done


def run_sweep(
    planned: Sequence[PlannedRun],
    registry: Registry,
    progress: Progress,
    *,
    on_start: Callable[[int, PlannedRun], None],
    on_failure: Callable[[Failure], None],
) -> list[Failure]:
    """Run the planned runs one after another in this process; return the failed runs.

    Before each run, `on_start` is called with its number, counted from 1, and the run. Raises
    `SweepInterrupted` on Ctrl-C.
    """
    failures = []
    for index, run in enumerate(planned):
        on_start(index + 1, run)
        try:
            error = _error_of(run, registry, progress)
            gc.collect()  # frees the last run's models, which are in reference cycles
        except KeyboardInterrupt as interrupt:
            raise SweepInterrupted(index) from interrupt
        if error is not None:
            failures.append(Failure(run, error))
            on_failure(failures[-1])
    return failures


def _error_of(run: PlannedRun, registry: Registry, progress: Progress) -> str | None:
    """Run a planned run; return the text of its error, or None.

    The exception itself is not returned, because its traceback keeps models in memory.
    """
    from latte.run.process import return_freed_memory
    from latte.run.runner import run_recipe  # imports torch, which planning does not need

    try:
        run_recipe(run.recipe, registry, progress, limit=run.limit)
    except LatteError as error:
        return str(error)
    except Exception as error:
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    finally:
        return_freed_memory()
    return None


def split_values(text: str) -> list[str]:
    """Split `text` at its commas, except those inside brackets, braces and quotes.

    After a bracket or quote that is not closed, no comma splits the text.
    """
    parts, closing = [""], ""
    for token in _TOKEN.findall(text):
        if token == "," and not closing:
            parts.append("")
            continue
        parts[-1] += token
        if token in _CLOSING:
            closing += _CLOSING[token]
        elif closing.endswith(token):
            closing = closing[:-1]
    return parts


def combinations(settings: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all combinations of one value per setting `KEY=A,B`; the last key varies fastest.

    Raises `LatteError` if a value in a list is empty, or a key is given twice.
    """
    keys = [key_of(setting) for setting in settings]
    for key in keys:
        if keys.count(key) > 1:
            raise LatteError(
                "is given twice", where=f"--set {key}", hint=f"List its values: --set {key}=A,B"
            )
    return [*product(*(_alternatives(setting) for setting in settings))]


def parse_seeds(text: str) -> list[int]:
    """Return the distinct seeds in a text like `0,1,2`. Raises `LatteError` for other texts."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdecimal()):
            raise LatteError(
                f'"{part}" is not a seed', where="--seeds", hint="As in: --seeds 0,1,2"
            )
    return [*dict.fromkeys(map(int, parts))]


def _alternatives(setting: str) -> list[str]:
    key, equals, value = setting.partition("=")
    values = split_values(value)
    if len(values) > 1 and not all(one.strip() for one in values):
        raise LatteError(
            "a value in this list is empty",
            where=f"--set {setting}",
            hint="Write null for none, and put a text that contains commas in quotes.",
        )
    return [f"{key}{equals}{one}" for one in values]
