"""`latte reproduce`: a published table run anew, ours beside theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import LimitOption, QuietOption

if TYPE_CHECKING:
    from latte.compare.plan import PlannedRun
    from latte.compare.sweep import Failure
    from latte.compare.tables import Cell, Table
    from latte.interfaces import Progress
    from latte.registry.registry import Registry


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
    from latte.compare.tables import changes_of, chosen_datasets, read_changes, read_table
    from latte.compare.values import parse_seeds
    from latte.registry.registry import load_registry

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

    from latte.cli.reproduced import print_table

    print_table(read, cells, absent, changed=limit is not None or _change_results(changes))
    if failures:
        from latte.cli.sweep import print_failures

        print_failures(failures, len(planned))
        raise typer.Exit(1)


def _change_results(changes: Mapping[str, str]) -> bool:
    """Whether any of the values is about more than where and how fast runs work."""
    from latte.run.identity import NOT_IDENTITY

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
    from latte.compare.availability import why_absent
    from latte.compare.tables import plan_dataset
    from latte.interfaces import LatteError

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
    from latte.compare.sweep import SweepInterrupted, run_sweep

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
