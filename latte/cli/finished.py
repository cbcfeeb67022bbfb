"""Commands on finished runs: evaluate, export, report, compare."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from latte.cli import shared
from latte.interfaces import LatteError
from latte.io.paths import is_folder, relative
from latte.registry.registry import load_registry
from latte.report.output import echo, print_json, write_file
from latte.report.progress import make_progress


def evaluate(
    run: shared.RunArgument, as_json: shared.JsonOption = False, quiet: shared.QuietOption = False
) -> None:
    """Measure a run's model on the run's labelled images again."""
    shared.require_run(run)
    from latte.report.statements import label_use
    from latte.report.summary import model_lines, statement_lines
    from latte.results.run import open_run
    from latte.run.evaluating import as_data
    from latte.run.reopen import evaluate_run

    evaluations, found = evaluate_run(run, load_registry(), make_progress(quiet)), open_run(run)
    if as_json:
        print_json([as_data(one, found.class_names) for one in evaluations])
    else:
        echo("\n".join(model_lines(evaluations)))
    for statement in label_use({**found.recipe, "controls": {}}):
        echo("\n".join(statement_lines(statement)), err=as_json)


def export(
    run: shared.RunArgument,
    format_: Annotated[
        Literal[
            "transformers",
            "onnx",
            "csv",
            "jsonl",
            "parquet",
            "imagefolder",
            "label-studio",
            "fiftyone",
        ],
        typer.Option(
            "--format",
            help="The model: transformers, a folder for CLIPModel.from_pretrained; onnx, one file "
            "from pixels to class probabilities and features. Or the labels of the run's own "
            "images: csv, jsonl, parquet; imagefolder and fiftyone, a folder with copies of the "
            "images; label-studio, tasks as JSON, and a labelling interface beside them.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file or folder to write. A model is written to export/FORMAT in the run "
            "folder by default.",
        ),
    ] = None,
    use: shared.UseOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a file of labels that exists; folders are kept."),
    ] = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Write a run's model or labels for other programs.

    The labels of the run's own images are the column `adapted` of pseudo_labels.csv, with their
    confidence: predictions of the run's final classifier, not true labels.
    """
    shared.require_run(run)
    progress = make_progress(quiet)
    if format_ == "transformers" or format_ == "onnx":
        _refuse_option("--force", "labels", given=force)
        from latte.export.run import export_run

        echo(export_run(run, format_, output, progress, use=use))
        return
    _refuse_option("--use", "models", given=use is not None)
    if output is None:
        hint = "name a file (imagefolder and fiftyone: a folder): --output PATH"
        raise LatteError("names no place for the labels", where="--output", hint=hint)
    from latte.export.labels import export_labels

    done = export_labels(run, format_, output, progress, force=force)
    echo(f"labels of {done.images:,} images: {', '.join(map(str, done.files))}")
    if done.note:
        echo(done.note, err=True)


def _refuse_option(option: str, what: str, *, given: bool) -> None:
    if given:
        raise LatteError(f"is for formats of {what}", where=option, hint="leave it out")


def report(run: shared.RunArgument, quiet: shared.QuietOption = False) -> None:
    """Write the reports of a finished run again."""
    shared.require_run(run)
    from latte.report.summary import summary_table
    from latte.run.reopen import report_run

    results, files = report_run(run, load_registry(), make_progress(quiet))
    echo(summary_table(results, relative(results.folder)))
    for file in files:
        echo(str(file))


def compare(
    runs: shared.RunsArgument,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published numbers to show beside yours: `published`, those of LatteCLIP, or a "
            "YAML file {source: TEXT, rows: {METHOD: {DATASET: TOP-1 PERCENT}}}. They come from "
            "other models and splits than yours unless you made sure that these are the same.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the whole table as CSV.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write it as one HTML page.")
    ] = None,
    latex: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write it as LaTeX tables.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    force: shared.ForceOption = False,
) -> None:
    """Show finished runs in one table, averaged over seeds."""
    shared.require_runs(runs)
    from latte.io.paths import refuse_other_kind
    from latte.report.comparison import output as shown
    from latte.report.comparison.comparison import compare_runs

    files = {shown.CSV_START: csv, shown.HTML_START: html, shown.LATEX_START: latex}
    for start, file in files.items():
        if file:
            refuse_other_kind(file, start, force=force)
    comparison = compare_runs(runs, against and _published(against, runs))
    print_skipped(comparison.skipped)
    if csv:
        _write(csv, shown.as_csv(comparison))
    if html:
        from latte.report.comparison.page import page

        _write(html, page(comparison, html))
    if latex:
        _write(latex, shown.as_latex(comparison))
    if json:
        print_json(shown.as_json(comparison))
    else:
        echo(shown.table(comparison))


def _published(against: Path, runs: Sequence[Path]) -> Path:
    """Return the file of published numbers that `--against` names.

    Raises `LatteError` if the file does not exist. If `against` is a folder, the hint of the error
    is the command that compares run folders.
    """
    from latte.recipe.shipped import find_table

    with shared.naming("--against"):
        try:
            return find_table(against)
        except LatteError as error:
            if not is_folder(against):
                raise
            what = "this is a folder, and --against takes a file of published numbers"
            command = shlex.join(["latte", "compare", *map(str, [*runs, against])])
            hint = f"To compare runs, name all of them: {command}"
            raise LatteError(what, where=str(against), hint=hint) from error


def _write(path: Path, text: str) -> None:
    write_file(path, text)
    echo(f"wrote {path}", err=True)


def print_skipped(skipped: Sequence[LatteError]) -> None:
    """Print the skipped runs and the reasons to stderr."""
    for error in skipped:
        echo(f"skipped {error}", err=True)
