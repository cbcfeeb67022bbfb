"""Plan the runs that reproduce a published table; the table's file names a recipe per row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from latte.interfaces import LatteError, Options, Progress
from latte.interfaces.errors import suggestion
from latte.recipe.load import read_settings
from latte.recipe.model import Recipe
from latte.recipe.shipped import SUFFIXES, find_table, shipped_path, unknown_recipe
from latte.registry.registry import Registry
from latte.report.comparison.published import Published, read_published
from latte.run.sweep import PlannedRun, plan_sweep, split_values
from latte.run.workspace import Workspace, run_folder

_DATASET = "{dataset}"


class RowSettings(Options):
    """Recipe that reproduces one row of a published table."""

    recipe: str = Field(description="name of a shipped recipe, or a file beside the table")
    set: dict[str, Any] = Field(default={}, description="changed values by key path")


class TableSettings(Options):
    """Content of a file that describes a published table and the recipes of its rows."""

    title: str = Field(description="what the table is about")
    published: str = Field(description="file with the published numbers, beside the table")
    datasets: tuple[str, ...] = Field(description="its columns")
    rows: dict[str, RowSettings] = Field(description="its rows, as the published numbers name them")


class ChangeSettings(Options):
    """Content of a file such as `tiny.yaml`: settings to change in every run of a table."""

    set: dict[str, Any] = Field(description="values by key path")


@dataclass(frozen=True)
class Table:
    """A published table to reproduce: its description and the published numbers."""

    path: Path
    settings: TableSettings
    published: Published


@dataclass(frozen=True)
class Cell:
    """The runs behind one number of a table: a row's recipe on one dataset, once per seed."""

    row: str
    dataset: str
    runs: tuple[PlannedRun, ...] = field(repr=False)


def read_table(path: Path) -> Table:
    """Read the description of a table; `path` is a file or the name of a table that latte ships."""
    file = find_table(path)
    settings = read_settings(file, TableSettings)
    return Table(file, settings, read_published(file.parent / settings.published))


def read_changes(path: Path) -> dict[str, str]:
    """Read the settings in a file such as `tiny.yaml`, with each value as a text for `--set`."""
    return _as_texts(read_settings(find_table(path), ChangeSettings).set)


def changes_of(texts: Sequence[str]) -> dict[str, str]:
    """Parse `KEY=VALUE` texts into a dict. Raises `LatteError` for several values, as in `1,2`."""
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        if len(split_values(value)) > 1:
            raise LatteError("takes one value here", where=f"--set {text}")
        found[key] = value
    return found


def chosen_datasets(table: Table, chosen: str | None) -> list[str]:
    """Return the table's datasets that are named in `chosen`, such as `a,b`; None means all."""
    known = table.settings.datasets
    if chosen is None:
        return [*known]
    names = [*dict.fromkeys(name.strip() for name in chosen.split(","))]
    for name in names:
        if name not in known:
            hint = suggestion(name, known, "Its datasets")
            what = f'the table has no dataset "{name}"'
            raise LatteError(what, where="--datasets", hint=hint)
    return names


def plan_dataset(
    table: Table,
    dataset: str,
    changes: Mapping[str, str],
    seeds: Sequence[int],
    registry: Registry,
    limit: int | None,
) -> list[Cell]:
    """Plan the runs of one dataset, a column of the table: a cell per row."""
    cells = []
    for name, row in table.settings.rows.items():
        values = {**_as_texts(row.set), **changes}
        settings = [f"{key}={value}" for key, value in values.items()]
        recipe = _recipe(row.recipe.replace(_DATASET, dataset), table.path)
        runs = plan_sweep([recipe], settings, seeds, registry, limit)
        cells.append(Cell(name, dataset, tuple(runs)))
    return cells


def why_absent(recipe: Recipe, registry: Registry, progress: Progress) -> LatteError | None:
    """Return the error that keeps the recipe's images from being listed; None without one."""
    workspace = Workspace(recipe, registry, progress, run_folder(recipe, None))
    try:
        workspace.dataset.training_images()
    except LatteError as error:
        return error
    return None


def _recipe(name: str, table: Path) -> Path:
    if name.endswith(SUFFIXES):
        return table.parent / name
    path = shipped_path(name)
    if path is None:
        raise unknown_recipe(name, where=str(table))
    return path


def _as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values as JSON texts, which `--set` parses to values of the same types."""
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
