"""A reproduced table in the terminal: dataset by dataset, then averages, then what to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from latte.cli.output import echo, plain_table, results
from latte.cli.shared import LimitOption, QuietOption
from latte.io.redaction import one_line
from latte.report.comparison.published import (
    LEAST_TOLERANCE,
    Beside,
    Own,
    Published,
    average,
    beside,
    measured,
    tolerance,
)
from latte.report.comparison.tables import Cell, Table
from latte.report.terminal import paragraph
from latte.results.summary import Run, read_run

if TYPE_CHECKING:
    from latte.interfaces import Progress
    from latte.registry.registry import Registry
    from latte.report.comparison.tables import Cell, Table
    from latte.run.sweep import Failure, PlannedRun

_HEADINGS = ("ours", "published", "difference", "tolerance", "")
_ABSENT = "–"


def print_table(
    table: Table, cells: Sequence[Cell], absent: Mapping[str, str], *, changed: bool
) -> None:
    """Every number that was measured, beside the published one where there is one."""
    numbers = {(cell.dataset, cell.row): _own(cell) for cell in cells}
    echo(one_line(table.settings.title))
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        rows = [
            beside(row, dataset, own, table.published)
            for (name, row), own in numbers.items()
            if name == dataset and own
        ]
        _print_rows(_dataset_title(dataset, cells), rows, judged=not changed)
    averages = [
        found for row in table.settings.rows if (found := _average(row, numbers, table.published))
    ]
    if len({dataset for dataset, _ in numbers}) > 1:
        _print_rows("average over these datasets", averages, judged=not changed)
    shown = [*dict.fromkeys(dataset for dataset, _ in numbers)]
    for note in _notes(table.published, shown, absent, changed=changed):
        echo("\n" + "\n".join(paragraph(note)))


def _own(cell: Cell) -> Own | None:
    return measured([read_run(run.folder.path) for run in cell.runs if run.finished])


def _average(
    row: str, numbers: Mapping[tuple[str, str], Own | None], published: Published
) -> Beside | None:
    own = [(dataset, one) for (dataset, name), one in numbers.items() if name == row]
    complete = [(dataset, one) for dataset, one in own if one]
    return average(row, complete, published) if len(complete) == len(own) else None


def _dataset_title(dataset: str, cells: Sequence[Cell]) -> str:
    run = next((one for one in _finished(cells) if one.data.name == dataset), None)
    return f"{dataset}, {run.data.images:,} test images" if run else dataset


def _finished(cells: Sequence[Cell]) -> list[Run]:
    return [read_run(run.folder.path) for cell in cells for run in cell.runs if run.finished]


def _print_rows(title: str, rows: Sequence[Beside], *, judged: bool) -> None:
    console = results()
    console.print()
    console.print(Text(title, style="bold"))
    table = plain_table("", *_HEADINGS)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(Text, (*_cells(row), (row.verdict or "") if judged else "")))
    console.print(table)


def _cells(row: Beside) -> tuple[str, ...]:
    if row.published is None or row.difference is None:
        return (f"  {row.row}", _number(row.own), _ABSENT, "", "")
    return (
        f"  {row.row}",
        _number(row.own),
        f"{100 * row.published:.2f}",
        f"{100 * row.difference:+.2f}",
        f"{100 * row.tolerance:.1f}",
    )


def _number(own: Own) -> str:
    reach = "" if own.reach is None else f" ± {100 * own.reach:.2f}"
    return f"{100 * own.mean:.2f}{reach}"


def _notes(
    published: Published, datasets: Sequence[str], absent: Mapping[str, str], *, changed: bool
) -> list[str]:
    wide = [
        f"{name} {100 * found:.1f}"
        for name in datasets
        if (found := tolerance(name, published)) > LEAST_TOLERANCE
    ]
    left_out = "; ".join(f"{name} ({reason})" for name, reason in absent.items())
    notes = [f"Left out: {left_out}."] if absent else []
    if changed:
        notes.append(
            "These runs were changed by --limit, --with or --set: they are not the published ones, "
            "differences say nothing, and nothing is judged."
        )
    return [
        *notes,
        "Top-1 in percent. ours: the mean over seeds with its 95 % t-interval; one seed has none.",
        "agrees: the difference is at most the tolerance; unclear: it is more, but by less than "
        "the interval over our seeds, so that more seeds would tell; differs: by more than that. "
        "Spreads are not published, so the tolerance is a guess from the published numbers: "
        f"{100 * LEAST_TOLERANCE:.0f} point, or twice the standard deviation of the method's "
        f"published variants on the dataset where that is more ({', '.join(wide) or 'nowhere'}). "
        "For averages, errors of datasets count as independent.",
        f"Published: {published.source}. {published.note}",
    ]


# `latte reproduce`: a published table run anew, ours beside theirs.


def reproduce(
    table: Annotated[
        Path,
        typer.Argument(help="methods, table-1, table-2, or the file of another table."),
    ],
    datasets: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these datasets; default: all of the table."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="0,1,2", help="Seeds; default: the one that each recipe has."),
    ] = None,
    with_: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="Values for every run from a file, such as `tiny`."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="A value for every run."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and which exist; do nothing.")
    ] = False,
    limit: LimitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a published table and print ours beside theirs; finished runs are reused.

    Datasets that are not on this machine are named and left out.
    """
    from latte.cli.progress import make_progress
    from latte.registry.registry import load_registry
    from latte.report.comparison.tables import changes_of, chosen_datasets, read_changes, read_table
    from latte.run.sweep import parse_seeds

    registry, read = load_registry(), read_table(table)
    numbers = parse_seeds(seeds) if seeds is not None else []
    changes: dict[str, str] = {}
    for file in with_ or ():
        changes |= read_changes(file)
    changes |= changes_of(set_ or ())
    wanted = chosen_datasets(read, datasets)
    progress = make_progress(quiet)
    cells, absent = _plan(read, wanted, changes, numbers, registry, progress, limit)
    planned = {run.folder.path: (cell, run) for cell in cells for run in cell.runs}
    if dry_run:
        _print_plan(planned, absent)
        return
    failures = _run([*planned.values()], registry, progress, quiet)

    print_table(read, cells, absent, changed=limit is not None or _change_results(changes))
    if failures:
        from latte.cli.sweep import print_failures

        print_failures(failures, len(planned))
        raise typer.Exit(1)


def _change_results(changes: Mapping[str, str]) -> bool:
    """Whether any of the values is about more than where and how fast runs work."""
    from latte.results.identity import NOT_IDENTITY

    return any(key.partition(".")[0] not in (*NOT_IDENTITY, "seed") for key in changes)


def _plan(
    table: Table,
    wanted: Sequence[str],
    changes: Mapping[str, str],
    seeds: Sequence[int],
    registry: Registry,
    progress: Progress,
    limit: int | None,
) -> tuple[list[Cell], dict[str, str]]:
    """All runs, dataset by dataset, and why some datasets are left out."""
    from latte.interfaces import LatteError
    from latte.report.comparison.tables import plan_dataset, why_absent

    cells: list[Cell] = []
    absent: dict[str, str] = {}
    for dataset in wanted:
        column = plan_dataset(table, dataset, changes, seeds, registry, limit)
        reason = why_absent(column[0].runs[0].recipe, registry, progress)
        if reason is None:
            cells += column
        else:
            absent[dataset] = reason
    if not cells:
        reasons = "\n  ".join(f"{name}: {reason}" for name, reason in absent.items())
        raise LatteError("none of the table's datasets is on this machine", hint=reasons)
    return cells, absent


def _print_plan(planned: Mapping[Path, tuple[Cell, PlannedRun]], absent: Mapping[str, str]) -> None:
    for path, (cell, run) in planned.items():
        state = "finished" if run.finished else "begun" if path.exists() else "to do"
        echo(f"{state:<8}  {path.name}  {_title(cell, run)}")
    for name, reason in absent.items():
        echo(f"left out: {name} ({reason})", err=True)


def _title(cell: Cell, run: PlannedRun) -> str:
    return f"{cell.row} on {cell.dataset}, seed {run.recipe.general.seed}"


def _run(
    planned: Sequence[tuple[Cell, PlannedRun]], registry: Registry, progress: Progress, quiet: bool
) -> list[Failure]:
    from latte.run.sweep import SweepInterrupted, run_sweep

    def announce(number: int, run: PlannedRun) -> None:
        if not quiet:
            title = _title(planned[number - 1][0], run)
            echo(f"[{number}/{len(planned)}] {title}", err=True)

    try:
        return run_sweep(
            [run for _, run in planned],
            registry,
            progress,
            on_start=announce,
            on_failure=lambda failure: echo(f"failed: {failure.run.title}", err=True),
        )
    except SweepInterrupted as interrupt:
        echo(
            f"\nstopped after {interrupt.done} of {len(planned)} runs; the same command goes on",
            err=True,
        )
        raise
