"""Commands that do many runs: `latte sweep`, and `latte reproduce` for a published table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from latte.cli import shared
from latte.cli.finished import print_skipped
from latte.interfaces import LatteError
from latte.io.paths import relative
from latte.io.redaction import one_line
from latte.registry.registry import load_registry
from latte.report.numbers import ABSENT, plural, published_percent
from latte.report.output import echo, results
from latte.report.progress import make_progress
from latte.report.terminal import fitted, paragraph

if TYPE_CHECKING:
    from latte.registry.registry import Registry
    from latte.report.comparison.published import Beside, Published
    from latte.report.comparison.reproduction import Cell, Table
    from latte.run.sweep import Failure, PlannedRun


def sweep(
    recipes: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE...",
            help="The recipes: YAML files, or names of recipes that come with latte.",
            callback=lambda paths: [shared.chosen_recipe(path) for path in paths],
            autocompletion=shared.complete_recipe,
        ),
    ],
    seeds: shared.SeedsOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY.PATH=A,B",
            help="Values to try, separated by commas (commas in brackets and quotes do not "
            "separate). May be repeated: every combination is run.",
        ),
    ] = None,
    dry_run: shared.DryRunOption = False,
    limit: shared.LimitOption = None,
    quiet: shared.QuietOption = False,
) -> None:
    """Run recipes with several seeds and values, then compare them.

    The name of a run folder depends only on the recipe's values. So a sweep that is started again
    continues where it stopped. A run that fails does not stop the others.
    """
    from latte.report.comparison.comparison import compare_runs
    from latte.report.comparison.output import table
    from latte.run.sweep import key_of, parse_seeds, plan_sweep

    registry = load_registry()
    numbers = parse_seeds(seeds) if seeds is not None else []
    planned = plan_sweep(recipes, set_ or (), numbers, registry, limit)
    finished = sum(run.finished for run in planned)
    reused = f", {finished} of them finished before and reused: their recipes are the same"
    echo(plural(len(planned), "run") + (reused if finished else ""), err=True)
    for key in map(key_of, set_ or ()):
        runs = [run for run in planned if key not in map(key_of, run.overrides)]
        if names := ", ".join(dict.fromkeys(one_line(run.recipe.name) for run in runs)):
            echo(f"--set {key} is left out of {names}: no such key", err=True)
    if dry_run:
        for run in planned:
            line = f"{state(run):<8}  {relative(run.folder.path)}  {' '.join(run.overrides)}"
            echo(line.rstrip())
        return
    failures = run_all(planned, [run.title for run in planned], registry, quiet)
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
    """Run the planned runs one after another; return the failed ones."""
    from latte.run.sweep import SweepInterrupted, run_sweep

    def announce(number: int, run: PlannedRun) -> None:
        if not quiet:
            echo(f"[{number}/{len(planned)}] {titles[number - 1]}", err=True)

    def failed(failure: Failure) -> None:
        echo(f"failed: {failure.run.title}", err=True)

    try:
        progress = make_progress(quiet)
        return run_sweep(planned, registry, progress, on_start=announce, on_failure=failed)
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


def reproduce(
    table: Annotated[
        Path, typer.Argument(help="methods, table-1, table-2, or the file of another table.")
    ],
    datasets: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these datasets; default: all of the table."),
    ] = None,
    seeds: shared.SeedsOption = None,
    with_: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="Values for every run from a file, such as `tiny`."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A value for every run.")
    ] = None,
    dry_run: shared.DryRunOption = False,
    limit: shared.LimitOption = None,
    quiet: shared.QuietOption = False,
) -> None:
    """Repeat the experiments of a published table, and compare.

    Finished runs are reused. Datasets that are not on this machine are left out and listed.
    """
    from latte.report.comparison import reproduction
    from latte.results.identity import NOT_IDENTITY
    from latte.run.sweep import parse_seeds

    registry = load_registry()
    with shared.naming("TABLE"):
        read = reproduction.read_table(table)
    numbers = parse_seeds(seeds) if seeds is not None else []
    changes: dict[str, str] = {}
    with shared.naming("--with"):
        for file in with_ or ():
            changes |= reproduction.read_changes(file)
    changes |= reproduction.changes_of(set_ or ())
    same = (*NOT_IDENTITY, "seed")  # keys that leave a run comparable to the published one
    changed = limit is not None or any(key.partition(".")[0] not in same for key in changes)
    cells: list[Cell] = []
    absent: dict[str, LatteError] = {}
    for dataset in reproduction.chosen_datasets(read, datasets):
        column = reproduction.plan_dataset(read, dataset, changes, numbers, registry, limit)
        reason = reproduction.why_absent(column[0].runs[0].recipe, registry, make_progress(quiet))
        if reason is not None:
            absent[dataset] = reason
        if dry_run or reason is None:
            cells += column
    _run_cells(read, cells, absent, registry, quiet, dry_run=dry_run, changed=changed)


def _run_cells(
    table: Table,
    cells: Sequence[Cell],
    absent: Mapping[str, LatteError],
    registry: Registry,
    quiet: bool,
    *,
    dry_run: bool,
    changed: bool,
) -> None:
    """Run the cells of a table (one per method and dataset), then print the table."""
    if not cells:
        reasons = "\n  ".join(_by_reason(absent))
        raise LatteError("none of the table's datasets is on this machine", hint=reasons)
    planned = {run.folder.path: (cell, run) for cell in cells for run in cell.runs}
    titles = [
        f"{cell.row} on {cell.dataset}, seed {run.recipe.seed}" for cell, run in planned.values()
    ]
    runs = [run for _, run in planned.values()]
    if dry_run:
        for run, title in zip(runs, titles, strict=True):
            echo(f"{state(run):<8}  {run.folder.path.name}  {title}")
        if absent:
            lines = ["not on this machine, so not run:", *_by_reason(absent)]
            echo("\n  ".join(lines), err=True)
        return
    failures = run_all(runs, titles, registry, quiet)
    print_table(table, cells, absent, changed=changed)
    end_with_failures(failures, len(planned))


def _by_reason(absent: Mapping[str, LatteError]) -> list[str]:
    """Return one line per reason, with its missing datasets, and the hint of the first error."""
    names: dict[str, list[str]] = {}
    for name, error in absent.items():
        names.setdefault(error.what, []).append(name)
    lines = [f"{', '.join(datasets)}: {reason}" for reason, datasets in names.items()]
    hint = next(iter(absent.values())).hint
    return [*lines, *(hint or "").splitlines()]


def print_table(
    table: Table, cells: Sequence[Cell], absent: Mapping[str, LatteError], *, changed: bool
) -> None:
    """Print measured beside published accuracies: per dataset, then averages, then notes.

    If `changed` is True, runs and published results have different settings, so the table does not
    judge whether they agree.
    """
    from latte.report.comparison.published import average, beside, measured
    from latte.results.summary import read_run

    runs = {
        (cell.dataset, cell.row): [read_run(run.folder.path) for run in cell.runs if run.finished]
        for cell in cells
    }
    numbers = {place: measured(found) for place, found in runs.items()}
    datasets = [*dict.fromkeys(dataset for dataset, _ in numbers)]
    echo(one_line(table.settings.title))
    for dataset in datasets:
        own = {row: one for (name, row), one in numbers.items() if name == dataset and one}
        rows = [beside(row, dataset, one, table.published) for row, one in own.items()]
        finished = (run for (name, _), found in runs.items() if name == dataset for run in found)
        images = next((run.data.images for run in finished if run.data.name == dataset), None)
        title = dataset if images is None else f"{dataset}, {images:,} test images"
        _print_rows(title, rows, judged=not changed)
    if len(datasets) > 1:
        averages = []
        for row in table.settings.rows:
            column = [(dataset, one) for (dataset, name), one in numbers.items() if name == row]
            complete = [(dataset, one) for dataset, one in column if one]
            found = average(row, complete, table.published) if complete == column else None
            averages += [found] if found else []
        _print_rows("average over these datasets", averages, judged=not changed)
    for note in _notes(table.published, datasets, absent, changed=changed):
        echo("\n" + "\n".join(paragraph(note)))


def _print_rows(title: str, rows: Sequence[Beside], *, judged: bool) -> None:
    console = results()
    console.print()
    console.print(Text(title, style="bold"))
    text = []
    for row in rows:
        reach = "" if row.own.reach is None else f" ± {100 * row.own.reach:.2f}"
        published = (ABSENT, "", "")
        if row.published is not None and row.difference is not None:
            difference, tolerance = f"{100 * row.difference:+.2f}", f"{100 * row.tolerance:.1f}"
            published = (published_percent(row.published), difference, tolerance)
        verdict = (row.verdict or "") if judged else ""
        ours = published_percent(row.own.mean) + reach
        text.append((f"  {row.row}", ours, *published, verdict))
    headers = ("", "ours", "published", "difference", "tolerance", "")
    console.print(fitted(headers, text, right=range(1, 5)))


def _notes(
    published: Published,
    datasets: Sequence[str],
    absent: Mapping[str, LatteError],
    *,
    changed: bool,
) -> list[str]:
    from latte.report.comparison.published import LEAST_TOLERANCE, tolerance

    wide = [
        f"{name} {100 * found:.1f}"
        for name in datasets
        if (found := tolerance(name, published)) > LEAST_TOLERANCE
    ]
    left_out = "; ".join(f"{name} ({error.what})" for name, error in absent.items())
    notes = [f"Left out: {left_out}."] if absent else []
    if changed:
        notes.append(
            "--limit, --with or --set changed these runs: they are not the published ones, so "
            "differences mean nothing, and nothing is judged."
        )
    return [
        *notes,
        "Top-1 in percent. ours: the mean over seeds with its 95 % t-interval; one seed has none.",
        "agrees: the difference is at most the tolerance. unclear: it is larger, but by less than "
        "the interval over our seeds, so that more seeds could decide. differs: it is larger by "
        "more than that. Spreads are not published, so the tolerance is estimated from the "
        f"published numbers: {100 * LEAST_TOLERANCE:.0f} point, or twice the standard deviation of "
        "the method's published variants on the dataset where that is more "
        f"({', '.join(wide) or 'nowhere'}). For averages, errors of datasets count as independent.",
        f"Published: {published.source}. {published.note}",
    ]
