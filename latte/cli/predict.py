"""`latte predict`: classify images with a run's model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from latte.cli.output import echo, rows_stream
from latte.cli.shared import CandidateOption, QuietOption, RunArgument
from latte.interfaces import LatteError

if TYPE_CHECKING:
    from torch import Tensor

    from latte.data.scan import SkippedImage
    from latte.evaluate.predictions import Prediction
    from latte.interfaces import Progress
    from latte.predict.priors import Priors

SOME_SKIPPED = 3
STDIN = "-"
AUTO = "auto"


def predict(
    run: RunArgument,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files, and folders with everything below them; - reads paths from "
            "standard input, one a line."
        ),
    ],
    format_: Annotated[
        Literal["csv", "jsonl"], typer.Option("--format", help="What to write.")
    ] = "csv",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write to this file, not to the screen; rows lie in FILE.partial until all are "
            "there, and stay there if it is stopped.",
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes an image.")] = 5,
    unknown_below: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Say `none of them` where the best class scores less than this."
        ),
    ] = None,
    priors: Annotated[
        str | None,
        typer.Option(
            metavar="auto|FILE",
            help="Take into account how common each class is. FILE: CSV or JSON with a share or a "
            "count for each. auto: estimated on IMAGES, which are all read before the first row.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    candidate: CandidateOption = False,
    quiet: QuietOption = False,
) -> None:
    """Classify IMAGES; ends with code 3 if some of them could not be read and were left out.

    Scores are probabilities, calibrated without labels where the run is: see calibration.json.
    In runs whose labeler decided all training images together, these keep its answers, and a
    column says which rows they are (source: own).
    """
    from latte.cli.progress import make_progress
    from latte.evaluate.predictions import stream_predictions, with_unknown
    from latte.predict.predictor import load
    from latte.predict.priors import shares_line
    from latte.predict.stream import write_rows

    progress = make_progress(quiet)
    total = _count(images)
    model = load(run, device, progress, candidate=candidate)
    skipped = _Skipped(_speaker(progress, quiet))
    shares: list[Tensor] = []
    rows = model.predict_iter(
        _expanded(images),
        top_k=top_k,
        batch_size=batch_size,
        on_unreadable=skipped,
        priors=_priors(priors, model.classes),
        on_priors=shares.append,
    )
    if unknown_below is not None:
        rows = with_unknown(rows, unknown_below)
    rows = _watched(rows, progress, total, skipped)
    if output is None:
        stream_predictions(rows_stream(), rows, format_, model.columns(top_k))
    else:
        write_rows(output, rows, format_, model.columns(top_k))
    if priors == AUTO and shares:
        echo(shares_line(shares[0], model.classes), err=True)
    if skipped.count:
        echo(f"images left out: {skipped.count}", err=True)
        raise typer.Exit(SOME_SKIPPED)


def _priors(given: str | None, class_names: Sequence[str]) -> Priors | None:
    """What `--priors` says. Raises `LatteError` for a file that cannot be used."""
    from latte.predict.priors import read_priors

    return "auto" if given == AUTO else read_priors(Path(given), class_names) if given else None


class _Skipped:
    """Says and counts what cannot be read."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self._say = say

    def __call__(self, image: SkippedImage) -> None:
        self.count += 1
        self._say(f"skipped {image.id}: {image.reason}")


def _speaker(progress: Progress, quiet: bool) -> Callable[[str], None]:
    return (lambda line: echo(line, err=True)) if quiet else progress.say


def _count(images: Sequence[str]) -> int | None:
    """How many images there are, if that can be known before they are read.

    Raises `LatteError` for a path that does not exist, and for folders without an image.
    """
    from latte.predict.stream import named_images

    for path in images:
        if path != STDIN and not Path(path).exists():
            raise LatteError("there is no such image or folder", where=path)
    if STDIN in images:
        return None
    total = sum(1 for _ in named_images(images, unlisted=lambda error: None))
    if total == 0:
        raise LatteError("there is no image here", where=", ".join(images))
    return total


def _expanded(images: Sequence[str]) -> Iterator[str]:
    for path in images:
        if path == STDIN:
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        else:
            yield path


def _watched(
    rows: Iterator[Prediction], progress: Progress, total: int | None, skipped: _Skipped
) -> Iterator[Prediction]:
    with progress.task("predict", total, "images") as task:
        passed = 0
        for row in rows:
            task.advance(1 + skipped.count - passed)
            passed = skipped.count
            yield row
        task.advance(skipped.count - passed)
