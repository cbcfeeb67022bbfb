"""`latte sweep`: run recipes with several seeds and values, and compare the runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli import completion
from latte.cli.output import echo
from latte.cli.progress import make_progress
from latte.cli.shared import DryRunOption, LimitOption, QuietOption, SeedsOption, chosen_recipes
from latte.io.paths import relative
from latte.registry.registry import load_registry
from latte.report.numbers import plural

if TYPE_CHECKING:
    from latte.registry.registry import Registry
    from latte.run.sweep import Failure, PlannedRun


def sweep(
    recipes: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE...",
            help="The recipes: YAML files, or names of recipes that come with latte.",
            callback=chosen_recipes,
            autocompletion=completion.recipes,
        ),
    ],
    seeds: SeedsOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY.PATH=A,B",
            help="Values to try, separated by commas (commas in brackets and quotes do not "
            "separate). May be repeated: every combination is run.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    limit: LimitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run recipes with several seeds and values, then compare; finished runs are reused.

    A run's folder is named by the content of its recipe, so the same sweep, started again,
    continues where it stopped. A run that fails does not stop the others.
    """
    from latte.cli.finished import print_skipped
    from latte.report.comparison.comparison import compare_runs
    from latte.report.comparison.terminal import table
    from latte.run.sweep import parse_seeds, plan_sweep

    registry = load_registry()
    numbers = parse_seeds(seeds) if seeds is not None else []
    planned = plan_sweep(recipes, set_ or (), numbers, registry, limit)
    finished = sum(run.finished for run in planned)
    reused = f", {finished} of them finished before and reused: their recipes are the same"
    echo(plural(len(planned), "run") + (reused if finished else ""), err=True)
    if dry_run:
        for run in planned:
            line = f"{state(run):<8}  {relative(run.folder.path)}  {' '.join(run.overrides)}"
            echo(line.rstrip())
        return
    titles = [run.title for run in planned]
    failures = run_all(planned, titles, registry, quiet)
    folders = [Path(relative(run.folder.path)) for run in planned if run.finished]
    if folders:
        comparison = compare_runs(folders)
        print_skipped(comparison.skipped)
        echo(table(comparison))
    end_with_failures(failures, len(planned))


def state(run: PlannedRun) -> str:
    """Return the state of a planned run: `finished`, `begun` or `to do`."""
    return "finished" if run.finished else "begun" if run.folder.path.exists() else "to do"


def run_all(
    planned: Sequence[PlannedRun], titles: Sequence[str], registry: Registry, quiet: bool
) -> list[Failure]:
    """Run the planned runs one after another; return the failed ones.

    Each run's title is printed to stderr when the run starts.
    """
    from latte.run.sweep import SweepInterrupted, run_sweep

    def announce(number: int, run: PlannedRun) -> None:
        if not quiet:
            echo(f"[{number}/{len(planned)}] {titles[number - 1]}", err=True)

    try:
        return run_sweep(
            planned,
            registry,
            make_progress(quiet),
            on_start=announce,
            on_failure=lambda failure: echo(f"failed: {failure.run.title}", err=True),
        )
    except SweepInterrupted as interrupt:
        done = f"stopped after {interrupt.done} of {len(planned)} runs"
        echo(f"\n{done}; the same command continues", err=True)
        raise


def end_with_failures(failures: Sequence[Failure], runs: int) -> None:
    """Print each failed run with its error and command; exit with code 1 if there is one."""
    if not failures:
        return
    echo(f"\n{len(failures)} of {runs} runs failed:", err=True)
    for failure in failures:
        error = "\n".join(f"  {line}" for line in failure.error.splitlines())
        echo(f"\n{failure.run.title}\n{error}\n  alone: {failure.run.command}", err=True)
    raise typer.Exit(1)
