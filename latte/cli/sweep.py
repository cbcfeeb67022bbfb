"""`latte sweep`: recipes with several seeds and values, and their comparison."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import LimitOption, QuietOption, chosen_recipes

if TYPE_CHECKING:
    from latte.run.sweep import Failure, PlannedRun


def sweep(
    recipes: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE...",
            help="The recipes: YAML files, or names of those that come with latte.",
            callback=chosen_recipes,
        ),
    ],
    seeds: Annotated[
        str | None,
        typer.Option(metavar="0,1,2", help="Seeds; default: the one that each recipe has."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY.PATH=A,B",
            help="Values to try, separated by commas; commas in brackets and quotes separate "
            "nothing. May be repeated: every combination is run.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and which exist; do nothing.")
    ] = False,
    limit: LimitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run recipes with several seeds and values, then compare; finished runs are reused.

    A run's folder is named by what is in its recipe, so the same sweep started again goes on where
    it stopped. A run that fails does not stop the others.
    """
    from latte.registry.registry import load_registry
    from latte.run.sweep import parse_seeds, plan_sweep

    registry = load_registry()
    numbers = parse_seeds(seeds) if seeds is not None else []
    planned = plan_sweep(recipes, set_ or (), numbers, registry, limit)
    echo(_summary(planned), err=True)
    if dry_run:
        for run in planned:
            echo(_plan_line(run))
        return

    from latte.cli.progress import make_progress
    from latte.run.sweep import SweepInterrupted, run_sweep

    def announce(number: int, run: PlannedRun) -> None:
        if not quiet:
            echo(f"[{number}/{len(planned)}] {run.title}", err=True)

    try:
        failures = run_sweep(
            planned,
            registry,
            make_progress(quiet),
            on_start=announce,
            on_failure=lambda failure: echo(f"failed: {failure.run.title}", err=True),
        )
    except SweepInterrupted as interrupt:
        again = _command(recipes, seeds, set_ or (), limit)
        echo(f"\nstopped after {interrupt.done} of {len(planned)} runs; go on: {again}", err=True)
        raise
    _print_comparison(planned)
    if failures:
        print_failures(failures, len(planned))
        raise typer.Exit(1)


def _summary(planned: Sequence[PlannedRun]) -> str:
    finished = sum(run.finished for run in planned)
    runs = f"{len(planned)} run{'' if len(planned) == 1 else 's'}"
    if not finished:
        return runs
    return (
        f"{runs}, {finished} of them finished before: these are reused, because a run's folder "
        "is named by what is in its recipe"
    )


def _plan_line(run: PlannedRun) -> str:
    state = "finished" if run.finished else "begun" if run.folder.path.exists() else "to do"
    return f"{state:<8}  {_shown(run.folder.path)}  {' '.join(run.overrides)}".rstrip()


def _print_comparison(planned: Sequence[PlannedRun]) -> None:
    """Of all runs that are finished."""
    from latte.cli.compare import print_skipped
    from latte.report.comparison.comparison import compare_runs
    from latte.report.comparison.terminal import table

    finished = [Path(_shown(run.folder.path)) for run in planned if run.finished]
    if finished:
        comparison = compare_runs(finished)
        print_skipped(comparison.skipped)
        echo(table(comparison))


def print_failures(failures: Sequence[Failure], runs: int) -> None:
    """Name each failed run on stderr, with why and how to run it alone."""
    echo(f"\n{len(failures)} of {runs} runs failed:", err=True)
    for failure in failures:
        echo(f"\n{failure.run.title}", err=True)
        echo(_indented(failure.error), err=True)
        echo(f"  alone: {failure.run.command}", err=True)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _command(
    recipes: Sequence[Path], seeds: str | None, settings: Sequence[str], limit: int | None
) -> str:
    """What starts this sweep again."""
    options = [
        *(["--seeds", seeds] if seeds is not None else []),
        *(part for setting in settings for part in ("--set", setting)),
        *(["--limit", str(limit)] if limit is not None else []),
    ]
    return shlex.join(["latte", "sweep", *map(str, recipes), *options])


def _shown(path: Path) -> str:
    """`path` as people would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
