"""Shell completion of arguments: recipes, run folders, kinds and names of components."""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection
from itertools import chain, islice
from pathlib import Path

import typer

from latte.interfaces import LatteError
from latte.registry.discovery import discover_plugins
from latte.registry.spec import KINDS

_MOST_PATHS = 1000
"""Largest number of paths that completion looks at."""


def one_of(choices: Collection[str]) -> Callable[[str], list[str]]:
    """Return a function that completes a word to one of `choices`."""

    def complete(incomplete: str) -> list[str]:
        return [one for one in choices if one.startswith(incomplete)]

    return complete


kinds = one_of(KINDS)


def component_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a component; its kind is the preceding argument."""
    try:
        specs = [spec for plugin in discover_plugins() for spec in plugin.specs]
    except LatteError:
        return []
    names = (spec.name for spec in specs if spec.kind == context.params.get("kind"))
    return one_of(sorted(set(names)))(incomplete)


def recipes(incomplete: str) -> list[str]:
    """Complete a YAML file in this folder or its sub-folders, or the name of a shipped recipe."""
    from latte.recipe.shipped import SUFFIXES

    files = _below(incomplete, lambda path: path.suffix in SUFFIXES and path.is_file())
    return [*files, *shipped_recipes(incomplete)]


def shipped_recipes(incomplete: str) -> list[str]:
    """Complete the name of a recipe that comes with latte."""
    from latte.recipe.shipped import is_part, shipped_names

    return one_of([name for name in shipped_names() if not is_part(name)])(incomplete)


def runs(incomplete: str) -> list[str]:
    """Complete a run folder in this folder or its sub-folders, such as `runs/demo-ca7e1700`."""
    return _below(incomplete, lambda path: (path / "recipe.yaml").is_file())


def _below(incomplete: str, wanted: Callable[[Path], bool]) -> list[str]:
    """Return the `wanted` paths that begin with `incomplete`, also one folder deeper, sorted."""
    start = glob.escape(incomplete)
    patterns = (f"{start}*", f"{start}*/*")
    paths = chain.from_iterable(glob.iglob(one) for one in patterns)  # noqa: PTH207 - keeps `./`
    return sorted(path for path in islice(paths, _MOST_PATHS) if wanted(Path(path)))
