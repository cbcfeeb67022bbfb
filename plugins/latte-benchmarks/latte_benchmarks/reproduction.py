"""Published tables to reproduce: files that name a recipe per row, and the runs behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from latte.api import LatteError, Options, did_you_mean
from latte.api.runs import PreparedRun, find_table, read_settings
from latte_benchmarks.published import Published, read_published
from latte_benchmarks.sweep import plan_sweep
from latte_benchmarks.values import split_values

_DATASET = "{dataset}"
_SUFFIXES = (".yaml", ".yml")


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
class PublishedTable:
    """A published table to reproduce: its description and the published numbers."""

    path: Path
    settings: TableSettings
    published: Published


@dataclass(frozen=True)
class TableCell:
    """The runs behind one number of a table: a row's recipe on one dataset, once per seed."""

    row: str
    dataset: str
    runs: tuple[PreparedRun, ...] = field(repr=False)


def read_table(path: Path) -> PublishedTable:
    """Read the description of a table; `path` is a file or the name of a table that latte ships."""
    file = find_table(path)
    settings = read_settings(file, TableSettings)
    return PublishedTable(file, settings, read_published(file.parent / settings.published))


def read_changes(path: Path) -> dict[str, str]:
    """Read the settings in a file such as `tiny.yaml`, with each value as a text for `--set`."""
    return _as_texts(read_settings(find_table(path), ChangeSettings).set)


def changes_of(texts: Sequence[str]) -> dict[str, str]:
    """Parse `KEY=VALUE` texts into a dict. Raises `LatteError` for several values, as in `1,2`."""
    changes = {}
    for text in texts:
        key, _, value = text.partition("=")
        if len(split_values(value)) > 1:
            raise LatteError("takes one value here", where=f"--set {text}")
        changes[key] = value
    return changes


def chosen_datasets(table: PublishedTable, names: str | None) -> list[str]:
    """Return the table's datasets that are named in `names`, such as `a,b`; None means all."""
    columns = table.settings.datasets
    if names is None:
        return [*columns]
    datasets = [*dict.fromkeys(name.strip() for name in names.split(","))]
    for name in datasets:
        if name not in columns:
            hint = f"{did_you_mean(name, columns)} Its datasets: {', '.join(columns)}".lstrip()
            what = f'the table has no dataset "{name}"'
            raise LatteError(what, where="--datasets", hint=hint)
    return datasets


def plan_dataset(
    table: PublishedTable,
    dataset: str,
    changes: Mapping[str, str],
    seeds: Sequence[int],
    limit: int | None,
) -> list[TableCell]:
    """Plan the runs of one dataset, a column of the table: a cell per row."""
    cells = []
    for name, row in table.settings.rows.items():
        values = {**_as_texts(row.set), **changes}
        settings = [f"{key}={value}" for key, value in values.items()]
        recipe = Path(row.recipe.replace(_DATASET, dataset))
        if recipe.suffix in _SUFFIXES:
            recipe = table.path.parent / recipe
        cells.append(TableCell(name, dataset, tuple(plan_sweep([recipe], settings, seeds, limit))))
    return cells


def missing_images(cell: TableCell) -> LatteError | None:
    """Return the error that keeps the images of a cell from being listed; None without one."""
    try:
        cell.runs[0].training_images()
    except LatteError as error:
        return error
    return None


def _as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values as JSON texts, which `--set` parses to values of the same types."""
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
