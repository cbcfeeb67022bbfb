"""`latte predict`: classify images with a run's model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from latte.cli.output import echo, rows_stream
from latte.cli.shared import CandidateOption, QuietOption, RunArgument, require_run
from latte.interfaces import LatteError
from latte.io.paths import existing_file

if TYPE_CHECKING:
    from torch import Tensor

    from latte.data.scan import SkippedImage
    from latte.evaluate.predictions import Columns, Prediction
    from latte.interfaces import Progress
    from latte.predict.priors import Priors

SOME_SKIPPED = 3
"""Exit code if some images could not be read."""
STDIN = "-"
AUTO = "auto"


ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Image files, and folders with everything below them; - reads paths from standard "
        "input, one per line.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write to this file, not to the screen. Rows are in FILE.partial until all are "
        "written, and stay there if the command is stopped.",
    ),
]
UnknownOption = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Answer `none of them` where the best class scores less than this."
    ),
]
PriorsOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|FILE",
        help="Use how common each class is. FILE: CSV or JSON with a share or a count for each "
        "class. auto: estimate it on IMAGES, which are all read before the first row.",
    ),
]


def predict(
    run: RunArgument,
    images: ImagesArgument,
    format_: Annotated[
        Literal["csv", "jsonl"], typer.Option("--format", help="The format of the rows.")
    ] = "csv",
    output: OutputOption = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    unknown_below: UnknownOption = None,
    priors: PriorsOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    candidate: CandidateOption = False,
    quiet: QuietOption = False,
) -> None:
    """Classify IMAGES; the exit code is 3 if some of them could not be read and were left out.

    Scores are probabilities. They are calibrated, without labels, if the run is: see
    calibration.json. If the run's labeler decided all training images together, training images
    among IMAGES keep the labeler's answers, and a column marks their rows (source: own).
    """
    require_run(run)
    _require_paths(images, priors)
    from latte.cli.progress import make_progress
    from latte.evaluate.predictions import with_unknown
    from latte.predict.predictor import load
    from latte.predict.priors import shares_line

    progress = make_progress(quiet)
    total = _count(images)
    model = load(run, device, progress, candidate=candidate)
    skipped = _Skipped((lambda line: echo(line, err=True)) if quiet else progress.say)
    shares: list[Tensor] = []
    rows = model.predict_iter(
        _paths(images),
        top_k=top_k,
        batch_size=batch_size,
        on_unreadable=skipped,
        priors=_priors(priors, model.classes),
        on_priors=shares.append,
    )
    if unknown_below is not None:
        rows = with_unknown(rows, unknown_below)
    _write(_with_progress(rows, progress, total, skipped), output, format_, model.columns(top_k))
    if priors == AUTO and shares:
        echo(shares_line(shares[0], model.classes), err=True)
    if skipped.count:
        echo(f"images left out: {skipped.count}", err=True)
        raise typer.Exit(SOME_SKIPPED)


def _require_paths(images: Sequence[str], priors: str | None) -> None:
    for path in images:
        if path != STDIN and not Path(path).exists():
            raise LatteError("there is no such image or folder", where=f"IMAGES {path}")
    if priors is not None and priors != AUTO:
        existing_file(Path(priors).absolute(), "--priors")


class _Skipped:
    """Print and count images that cannot be read."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self._say = say

    def __call__(self, image: SkippedImage) -> None:
        self.count += 1
        self._say(f"skipped {image.id}: {image.reason}")


def _count(images: Sequence[str]) -> int | None:
    """Return the number of images; None if paths come from standard input.

    Raises `LatteError` if there is no image at all.
    """
    from latte.predict.stream import named_images

    if STDIN in images:
        return None
    total = sum(1 for _ in named_images(images, unlisted=lambda error: None))
    if total == 0:
        raise LatteError("there is no image here", where=", ".join(images))
    return total


def _paths(images: Sequence[str]) -> Iterator[str]:
    for path in images:
        if path == STDIN:
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        else:
            yield path


def _priors(given: str | None, class_names: Sequence[str]) -> Priors | None:
    """Return `auto`, the priors in the file, or None. Raises `LatteError` for an unusable file."""
    from latte.predict.priors import read_priors

    return "auto" if given == AUTO else read_priors(Path(given), class_names) if given else None


def _with_progress(
    rows: Iterator[Prediction], progress: Progress, total: int | None, skipped: _Skipped
) -> Iterator[Prediction]:
    with progress.task("predict", total, "images") as task:
        passed = 0
        for row in rows:
            task.advance(1 + skipped.count - passed)
            passed = skipped.count
            yield row
        task.advance(skipped.count - passed)


def _write(
    rows: Iterator[Prediction],
    output: Path | None,
    format_: Literal["csv", "jsonl"],
    columns: Columns,
) -> None:
    from latte.evaluate.predictions import stream_predictions
    from latte.predict.stream import write_rows

    if output is None:
        stream_predictions(rows_stream(), rows, format_, columns)
    else:
        write_rows(output, rows, format_, columns)
