"""`latte compare`, `latte sweep` and `latte reproduce`: many runs, and one table of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from latte.api import LatteError
from latte.api.output import (
    echo,
    naming,
    one_line,
    paragraph,
    plural,
    refuse_other_kind,
    write_file,
)
from latte.api.runs import NOT_IDENTITY, find_table
from latte.api.sources import is_folder
from latte_benchmarks.comparison import Comparison, compare_folders, compare_runs, notes
from latte_benchmarks.measured import read_run
from latte_benchmarks.page import HTML_START, as_page
from latte_benchmarks.published import LEAST_TOLERANCE, Published, read_published, tolerance
from latte_benchmarks.reproduction import (
    PublishedTable,
    TableCell,
    changes_of,
    chosen_datasets,
    missing_images,
    plan_dataset,
    read_changes,
    read_table,
)
from latte_benchmarks.sweep import Failure, make_runs, plan_sweep, state
from latte_benchmarks.table import (
    CSV_START,
    JUDGED,
    LATEX_START,
    REPRODUCED,
    as_csv,
    as_latex,
    as_text,
    compared_columns,
)
from latte_benchmarks.values import key_of, parse_seeds, split_values

SeedsOption = Annotated[
    str | None, typer.Option(metavar="0,1,2", help="Seeds; default: the one in each recipe.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="List the runs and which of them exist; run nothing.")
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=2, help="Use at most this many training and test images: a quick look."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, or folders of them, such as runs/."),
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published numbers to show beside yours: `published`, those of LatteCLIP, or a "
            "YAML file {source: TEXT, rows: {METHOD: {DATASET: TOP-1 PERCENT}}}. They come from "
            "other models and splits than yours unless you made sure that these are the same.",
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TEXT,...",
            help="Other names of methods and datasets, as in flyp=FLYP,dtd=DTD.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write all numbers as CSV.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write one HTML page.")
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a LaTeX table of methods by datasets."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite a file of any kind; default: only a result."),
    ] = False,
) -> None:
    """Show finished runs in one table, averaged over seeds."""
    for start, file in {CSV_START: csv, HTML_START: html, LATEX_START: latex}.items():
        if file:
            refuse_other_kind(file, start, force=force)
    published = read_published(_published_file(against, runs)) if against else None
    with naming("RUN"):
        comparison = compare_folders(runs, published)
    comparison = comparison.renamed(_parsed_names(names or ()))
    print_skipped(comparison)
    if csv:
        _write(csv, as_csv(comparison))
    if html:
        _write(html, as_page(comparison, html))
    if latex:
        _write(latex, as_latex(comparison))
    print_comparison(comparison)


def _parsed_names(texts: Sequence[str]) -> dict[str, str]:
    """Parse `NAME=TEXT,NAME=TEXT`; a name may contain `=`, as in `flyp seed=3=FLYP`."""
    names = {}
    for pair in (pair for text in texts for pair in split_values(text)):
        name, equals, text = pair.rpartition("=")
        if not (equals and name.strip() and text.strip()):
            hint = "As in: --names flyp=FLYP,dtd=DTD"
            raise LatteError(f'"{pair}" is not NAME=TEXT', where="--names", hint=hint)
        names[name.strip()] = text.strip()
    return names


def _published_file(against: Path, runs: Sequence[Path]) -> Path:
    """Return the file of published numbers that `--against` names.

    Raises `LatteError` if the file does not exist. If `against` is a folder, the hint of the error
    is the command that compares run folders.
    """
    if is_folder(against):
        command = shlex.join(["latte", "compare", *map(str, [*runs, against])])
        raise LatteError(
            "this is a folder, and --against takes a file of published numbers",
            where=f"--against {against}",
            hint=f"To compare runs, name all of them: {command}",
        )
    with naming("--against"):
        return find_table(against)


def _write(path: Path, text: str) -> None:
    write_file(path, text)
    echo(f"wrote {path}", err=True)


def print_skipped(comparison: Comparison) -> None:
    """Print the skipped runs and the reasons to stderr."""
    for error in comparison.skipped:
        echo(f"skipped {error}", err=True)


def print_comparison(comparison: Comparison) -> None:
    """Print the table of a comparison, and its notes."""
    echo("\n".join(as_text(comparison, compared_columns(comparison))))
    for note in notes(comparison):
        echo("\n".join(["", *paragraph(note)]))


def sweep(
    recipes: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE...",
            help="The recipes: YAML files, or names of recipes that come with latte.",
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
    """Run recipes with several seeds and values, then compare them.

    The name of a run folder depends only on the recipe's values. So a sweep that is started again
    continues where it stopped. A run that fails does not stop the others.
    """
    planned = plan_sweep(recipes, set_ or (), parse_seeds(seeds), limit)
    finished = sum(run.is_finished for run in planned)
    reused = f", {finished} of them finished before and reused: their recipes are the same"
    echo(plural(len(planned), "run") + (reused if finished else ""), err=True)
    for key in map(key_of, set_ or ()):
        runs = [run for run in planned if key not in map(key_of, run.overrides)]
        if names := ", ".join(dict.fromkeys(one_line(run.name) for run in runs)):
            echo(f"--set {key} is left out of {names}: no such key", err=True)
    if dry_run:
        for run in planned:
            line = f"{state(run):<8}  {_relative(run.folder)}  {' '.join(run.overrides)}"
            echo(line.rstrip())
        return
    titles = [" ".join([run.name, *run.overrides]) for run in planned]
    failures = make_runs([*zip(titles, planned, strict=True)], quiet=quiet)
    if folders := [_relative(run.folder) for run in planned if run.is_finished]:
        comparison = compare_folders(folders)
        print_skipped(comparison)
        print_comparison(comparison)
    _end_with_failures(failures, len(planned))


def _relative(path: Path) -> Path:
    """Return `path` relative to the working directory, or unchanged if it is outside of it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _end_with_failures(failures: Sequence[Failure], runs: int) -> None:
    """Print each failed run with its error and command; exit with code 1 if there is one."""
    if not failures:
        return
    echo(f"\n{len(failures)} of {runs} runs failed:", err=True)
    for failure in failures:
        error = "\n".join(f"  {line}" for line in failure.error.splitlines())
        echo(f"\n{failure.title}\n{error}\n  alone: {failure.run.command}", err=True)
    raise typer.Exit(1)


def reproduce(
    table: Annotated[
        Path, typer.Argument(help="methods, table-1, table-2, or the file of another table.")
    ],
    datasets: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these datasets; default: all of the table."),
    ] = None,
    seeds: SeedsOption = None,
    with_: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="Values for every run from a file, such as `tiny`."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A value for every run.")
    ] = None,
    dry_run: DryRunOption = False,
    limit: LimitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Repeat the experiments of a published table, and compare.

    Finished runs are reused. Datasets that are not on this machine are left out and listed.
    """
    with naming("TABLE"):
        published_table = read_table(table)
    seed_numbers = parse_seeds(seeds)
    changes: dict[str, str] = {}
    with naming("--with"):
        for file in with_ or ():
            changes |= read_changes(file)
    changes |= changes_of(set_ or ())
    comparable = {*NOT_IDENTITY, "seed"}  # keys that leave a run comparable to the published one
    changed = limit is not None or any(key.partition(".")[0] not in comparable for key in changes)
    cells: list[TableCell] = []
    missing: dict[str, LatteError] = {}
    for dataset in chosen_datasets(published_table, datasets):
        column = plan_dataset(published_table, dataset, changes, seed_numbers, limit)
        if error := missing_images(column[0]):
            missing[dataset] = error
        if dry_run or error is None:
            cells += column
    if not cells:
        reasons = "\n  ".join(_by_reason(missing))
        raise LatteError("none of the table's datasets is on this machine", hint=reasons)
    planned = [*{run.folder: (cell, run) for cell in cells for run in cell.runs}.values()]
    titles = [f"{cell.row} on {cell.dataset}, seed {run.seed}" for cell, run in planned]
    runs = [run for _, run in planned]
    if dry_run:
        for run, title in zip(runs, titles, strict=True):
            echo(f"{state(run):<8}  {run.folder.name}  {title}")
        if missing:
            echo("\n  ".join(["not on this machine, so not run:", *_by_reason(missing)]), err=True)
        return
    failures = make_runs([*zip(titles, runs, strict=True)], quiet=quiet)
    _print_reproduction(published_table, cells, missing, changed=changed)
    _end_with_failures(failures, len(runs))


def _by_reason(missing: Mapping[str, LatteError]) -> list[str]:
    """Return one line per reason, with its missing datasets, and the hint of the first error."""
    names: dict[str, list[str]] = {}
    for name, error in missing.items():
        names.setdefault(error.what, []).append(name)
    lines = [f"{', '.join(datasets)}: {reason}" for reason, datasets in names.items()]
    hint = next(iter(missing.values())).hint
    return [*lines, *(hint or "").splitlines()]


def _print_reproduction(
    table: PublishedTable,
    cells: Sequence[TableCell],
    missing: Mapping[str, LatteError],
    *,
    changed: bool,
) -> None:
    """Print measured beside published accuracies: per dataset, then averages, then notes.

    If `changed` is True, runs and published results have different settings, so the table does not
    judge whether they agree.
    """
    runs = []
    for cell in cells:
        for run_of_cell in (read_run(run.folder) for run in cell.runs if run.is_finished):
            dataset = replace(run_of_cell.dataset, name=cell.dataset)
            runs.append(replace(run_of_cell, method=cell.row, dataset=dataset))
    echo(one_line(table.settings.title))
    if runs:
        order = [(cell.dataset, cell.row) for cell in cells]
        rows = compare_runs(runs, table.published).adapted
        rows.sort(key=lambda row: order.index((row.dataset.name, row.method)))
        columns = REPRODUCED if changed else JUDGED
        echo("\n".join(["", *as_text(Comparison(tuple(rows), table.published), columns)]))
    datasets = [*dict.fromkeys(cell.dataset for cell in cells)]
    for note in _reproduction_notes(table.published, datasets, missing, changed=changed):
        echo("\n".join(["", *paragraph(note)]))


def _reproduction_notes(
    published: Published,
    datasets: Sequence[str],
    missing: Mapping[str, LatteError],
    *,
    changed: bool,
) -> list[str]:
    wide = [
        f"{name} {100 * allowed:.1f}"
        for name in datasets
        if (allowed := tolerance(name, published)) > LEAST_TOLERANCE
    ]
    left_out = "; ".join(f"{name} ({error.what})" for name, error in missing.items())
    texts = [f"Left out: {left_out}."] if missing else []
    if changed:
        texts.append(
            "--limit, --with or --set changed these runs: they are not the published ones, so "
            "differences mean nothing, and nothing is judged."
        )
    return [
        *texts,
        "Top-1 in percent. ours: the mean over seeds with its 95 % t-interval; one seed has none.",
        "agrees: the difference is at most the tolerance. unclear: it is larger, but by less than "
        "the interval over our seeds, so that more seeds could decide. differs: it is larger by "
        "more than that. Spreads are not published, so the tolerance is estimated from the "
        f"published numbers: {100 * LEAST_TOLERANCE:.0f} point, or twice the standard deviation of "
        "the method's published variants on the dataset where that is more "
        f"({', '.join(wide) or 'nowhere'}). For averages, errors of datasets count as independent.",
        f"Published: {published.source}. {published.note}",
    ]
