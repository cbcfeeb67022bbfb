"""`latte export`: a run's model for other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from latte.cli.output import echo
from latte.cli.shared import CandidateOption, QuietOption, RunArgument


def export(
    run: RunArgument,
    format_: Annotated[
        Literal["transformers", "onnx"],
        typer.Option(
            "--format",
            help="transformers: a folder for CLIPModel.from_pretrained. onnx: one file from pixels "
            "to class probabilities and features.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The folder to write; without it, export/FORMAT in the run's."
        ),
    ] = None,
    candidate: CandidateOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a run's model for transformers or for ONNX runtimes, with its prototypes."""
    from latte.cli.progress import make_progress
    from latte.export.run import export_run

    echo(export_run(run, format_, output, make_progress(quiet), candidate=candidate))
