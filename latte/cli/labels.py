"""`latte labels`: use the labels that a run gave to its own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from latte.cli.output import echo
from latte.cli.shared import QuietOption, RunArgument, command_group, require_run

labels = command_group("labels")


@labels.callback()
def overview(context: typer.Context) -> None:
    """Export the labels that a run gave to its own images."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


@labels.command()
def export(
    run: RunArgument,
    format_: Annotated[
        Literal["csv", "jsonl", "parquet", "imagefolder", "label-studio", "fiftyone"],
        typer.Option(
            "--format",
            help="imagefolder and fiftyone: a folder with copies of the images. label-studio: "
            "tasks as JSON, and a labelling interface beside them. parquet needs pyarrow.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file or folder to write.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that exists; folders are kept.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Write class and confidence of each of a run's own images, for other tools.

    The labels are the column `adapted` of pseudo_labels.csv, by the run's final classifier. They
    are predictions, not true labels.
    """
    require_run(run)
    from latte.cli.progress import make_progress
    from latte.export.labels import export_labels

    done = export_labels(run, format_, output, make_progress(quiet), force=force)
    echo(f"labels of {done.images:,} images: {', '.join(map(str, done.files))}")
    if done.note:
        echo(done.note, err=True)
