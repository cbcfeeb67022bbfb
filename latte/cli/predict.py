"""`latte predict`: classify images with a run's model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from latte.cli.shared import QuietOption, RunArgument


def predict(
    run: RunArgument,
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    format_: Annotated[
        Literal["csv", "jsonl"], typer.Option("--format", help="What to write.")
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, not to the screen.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes an image.")] = 5,
    unknown_below: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Say `none of them` where the best class scores less than this."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    quiet: QuietOption = False,
) -> None:
    """Classify IMAGES; scores are softmax probabilities, not calibrated."""
    from latte.cli.progress import make_progress
    from latte.evaluate.predictions import stream_predictions, write_predictions
    from latte.evaluate.unknown import with_unknown
    from latte.run import predicting
    from latte.run.reopen import open_adapted

    progress = make_progress(quiet)
    references = predicting.list_images(images)
    adapted = open_adapted(run, device, progress)
    rows, skipped = predicting.predict(
        adapted,
        references,
        progress,
        top_k=top_k,
        batch_size=batch_size,
    )
    if unknown_below is not None:
        rows = with_unknown(rows, unknown_below)
    if output is None:
        stream_predictions(sys.stdout, rows, format_)
    else:
        write_predictions(output, rows, format_)
    for one in skipped:
        typer.echo(f"skipped {one.id}: {one.reason}", err=True)
