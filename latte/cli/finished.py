"""Commands on finished runs: evaluate, export, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from latte.cli import shared
from latte.interfaces import ImageReference, LatteError
from latte.io.paths import relative
from latte.registry.registry import load_registry
from latte.report.output import echo, print_json
from latte.report.progress import make_progress
from latte.report.terminal import in_lines


def evaluate(
    run: shared.RunArgument, as_json: shared.JsonOption = False, quiet: shared.QuietOption = False
) -> None:
    """Measure a run's model on the run's labelled images again."""
    shared.require_run(run)
    from latte.report.accuracy import copies_sentence
    from latte.report.statements import label_use
    from latte.report.summary import model_lines, statement_lines
    from latte.results.run import open_run
    from latte.run.evaluating import as_data
    from latte.run.reopen import evaluate_run

    models, copies = evaluate_run(run, load_registry(), make_progress(quiet))
    opened_run = open_run(run)
    if as_json:
        print_json([as_data(model, opened_run.class_names) for model in models])
    else:
        echo("\n".join(model_lines(models)))
    if copies is not None:
        echo(in_lines(f"warning: {copies_sentence(copies)}"), err=as_json)
    for statement in label_use({**opened_run.recipe, "controls": {}}):
        echo("\n".join(statement_lines(statement)), err=as_json)


def export(
    run: shared.RunArgument,
    format_: Annotated[
        Literal[
            "transformers",
            "onnx",
            "csv",
            "jsonl",
            "xlsx",
            "parquet",
            "imagefolder",
            "label-studio",
            "fiftyone",
        ]
        | None,
        typer.Option(
            "--format",
            help="The model: transformers, a folder for CLIPModel.from_pretrained; onnx, one file "
            "from pixels to class probabilities and features. Or the labels of the run's own "
            "images: csv, jsonl, xlsx (Excel), parquet; imagefolder and fiftyone, a folder with "
            "copies of the images; label-studio, tasks as JSON, and a labelling interface.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file or folder to write. A model is written to export/FORMAT in the run "
            "folder by default.",
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="hf:OWNER/NAME",
            help="In place of --format: push the model, its class names and a model card to a "
            "private repository of the Hugging Face hub, for `latte predict hf:OWNER/NAME`. No "
            "image and no text about an image is pushed.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --push: everybody may read the repository.")
    ] = False,
    use: shared.UseOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a file of labels that exists; folders are kept. With --push: push to a "
            "repository that exists.",
        ),
    ] = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Write a run's model or labels for other programs, or push the model to the hub.

    The labels of the run's own images are the column `adapted` of pseudo_labels.csv, with their
    confidence: predictions of the run's final classifier, not true labels.
    """
    shared.require_run(run)
    progress = make_progress(quiet)
    if push is not None:
        _refuse_beside_push("--format", is_set=format_ is not None)
        _refuse_beside_push("--output", is_set=output is not None)
        from latte.export.hub import push_run

        pushed = push_run(run, push, progress, use=use, public=public, force=force)
        echo(f"pushed {pushed}\nlatte predict {pushed.name} PHOTOS")
        return
    if public:
        raise LatteError("needs --push hf:OWNER/NAME", where="--public")
    if format_ is None:
        hint = "--format FORMAT writes files, and --push hf:OWNER/NAME pushes to the hub"
        raise LatteError("names nothing to write", where="latte export", hint=hint)
    if format_ == "transformers" or format_ == "onnx":
        _refuse_option("--force", "labels", is_set=force)
        from latte.export.run import export_run

        echo(export_run(run, format_, output, progress, use=use))
        return
    _refuse_option("--use", "models", is_set=use is not None)
    if output is None:
        hint = "name a file (imagefolder and fiftyone: a folder): --output PATH"
        raise LatteError("names no place for the labels", where="--output", hint=hint)
    from latte.export.labels import export_labels

    done = export_labels(run, format_, output, lambda: _training_images(run), progress, force=force)
    echo(f"labels of {done.images:,} images: {', '.join(map(str, done.files))}")
    if done.note:
        echo(done.note, err=True)


def _training_images(run: Path) -> Sequence[ImageReference]:
    from latte.results.run import open_finished
    from latte.run.ready import listed_images

    return listed_images(open_finished(run), load_registry())


def _refuse_beside_push(option: str, *, is_set: bool) -> None:
    if is_set:
        raise LatteError("does not go with --push", where=option, hint="leave one of them out")


def _refuse_option(option: str, what: str, *, is_set: bool) -> None:
    if is_set:
        raise LatteError(f"is for formats of {what}", where=option, hint="leave it out")


def report(run: shared.RunArgument, quiet: shared.QuietOption = False) -> None:
    """Write the reports of a finished run again."""
    shared.require_run(run)
    from latte.report.summary import print_summary
    from latte.run.reopen import report_run

    results, files = report_run(run, load_registry(), make_progress(quiet))
    print_summary(results, relative(results.folder))
    for file in files:
        echo(str(file))
