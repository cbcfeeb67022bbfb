"""`latte predict`: classify images with a run's model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from latte.cli.shared import ForceOption, QuietOption, RunArgument, UseOption, require_run
from latte.interfaces import LatteError
from latte.io.files import partial_file
from latte.io.paths import (
    exists,
    is_file,
    path_as_text,
    path_from_text,
    refuse_other_kind,
    refuse_read_only,
)
from latte.report.output import echo, rows_stream
from latte.report.progress import make_progress

if TYPE_CHECKING:
    from latte.data.scan import SkippedImage
    from latte.evaluate.predictions import Columns, Prediction
    from latte.interfaces import Progress
    from latte.predict.sorting import Sorter

SOME_SKIPPED = 3
"""Exit code if some images could not be read, and all others were classified."""
STDIN = "-"
_STARTS = {
    "csv": tuple(f"image,{own}class_1," for own in ("", "source,", "match,", "source,match,")),
    "jsonl": ('{"image": ',),
}
"""First characters of the files that `latte predict` may replace, by format."""
_JSON_LINES = (".jsonl", ".ndjson")
_OTHER_FORMATS = (".json", ".parquet", ".xls", ".xlsx")
"""Suffixes of files that other programs would not read as CSV."""


ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Image files, and folders with everything below them; - reads paths from standard "
        "input, one per line; an empty list gives no rows."
    ),
]
RowsFormat: TypeAlias = Literal["csv", "jsonl"]
FormatOption = Annotated[
    RowsFormat | None,
    typer.Option(
        "--format",
        help="The format of the rows. Default: jsonl for a file .jsonl or .ndjson, else csv.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write to this file, not to the screen, when all rows are complete. If the command "
        "is stopped, the rows so far are in FILE.partial; the same command starts from the "
        "beginning.",
    ),
]
UnknownOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Answer `none of them` where the best class scores less than this. If there is a "
        "column match, it decides in place of the score.",
    ),
]
SortOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Also copy each image into DIR/CLASS NAME, or into DIR/unknown where the answer is "
        "`none of them`. No file is overwritten, moved or deleted.",
    ),
]
LinkOption = Annotated[
    bool, typer.Option("--link", help="With --sort-into: make symbolic links instead of copies.")
]
MinConfidenceOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="With --sort-into: sort into DIR/uncertain where the best class scores less.",
    ),
]


def predict(
    run: RunArgument,
    images: ImagesArgument,
    format_: FormatOption = None,
    output: OutputOption = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    unknown_below: UnknownOption = None,
    sort_into: SortOption = None,
    link: LinkOption = False,
    min_confidence: MinConfidenceOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    use: UseOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Classify images with a run's model, and sort them into folders.

    The exit code is 3 if some images could not be read and were left out. In folders, images in an
    unsupported format and images without an image suffix are left out too.

    The classifier labels all images, with two exceptions for training images. A training image
    whose class was given by a person gets this class. If a labeler of the run labelled all training
    images together, the other training images get its class probabilities (the posterior). The
    column source is `own` for both exceptions, and `classifier` for all other images.

    Scores are probabilities. If the run was evaluated, scores are calibrated without
    labels: the classifier's scores by a scale, and the posterior's scores by an exponent. For
    sigmoid models, the column match is the probability that the best class fits the image.
    """
    _check(run, images, sort_into, link, min_confidence)
    rows_format = format_ or _format_of(output)
    if output is not None:
        _refuse_own_files(output, rows_format, force=force)
    from latte.evaluate.predictions import with_unknown
    from latte.predict.predictor import Predictor, open_predictor

    progress, total = make_progress(quiet), _count(images)
    model = open_predictor(Predictor, run, device, progress, use=use)
    say = (lambda line: echo(line, err=True)) if quiet else progress.say
    skipped = _Skipped(say)
    rows = model.predict_iter(
        _found(images, sort_into, skipped),
        top_k=top_k,
        batch_size=batch_size,
        on_unreadable=skipped,
    )
    rows = with_unknown(rows, unknown_below or 0.0)
    sorter = _sorter(sort_into, model.classes, link, min_confidence, say)
    rows = _with_progress(sorter.sort(rows) if sorter else rows, progress, total, skipped)
    _write(rows, output, rows_format, model.columns(top_k))
    skipped.write(output and _skipped_file(output))
    _print_notes(sorter, skipped)


def _check(
    run: Path,
    images: Sequence[str],
    sort_into: Path | None,
    link: bool,
    min_confidence: float | None,
) -> None:
    from latte.predict.sorting import refuse_inside

    if sort_into is None and (link or min_confidence is not None):
        option = "--link" if link else "--min-confidence"
        raise LatteError(f"{option} needs --sort-into DIR")
    for path in images:
        if sort_into and path != STDIN:
            refuse_inside(sort_into, path)
    if sort_into is not None:
        refuse_read_only(sort_into / "CLASS", "--sort-into")
    require_run(run)
    for path in images:
        if path != STDIN and not exists(Path(path)):
            raise LatteError("there is no such image or folder", where=f"IMAGES {path}")


def _format_of(output: Path | None) -> RowsFormat:
    suffix = output.suffix.lower() if output else ""
    if suffix in _OTHER_FORMATS:
        hint = "name the file .csv or .jsonl (one JSON object per line), or add --format"
        raise LatteError(f"rows are not written as {suffix}", where=f"--output {output}", hint=hint)
    return "jsonl" if suffix in _JSON_LINES else "csv"


def _refuse_own_files(output: Path, rows_format: RowsFormat, *, force: bool) -> None:
    """Raise `LatteError` if a file that `predict` replaces or deletes may not be its own.

    A list of skipped images is one of its own only beside the rows of the same call.
    """
    for rows in (output, partial_file(output)):
        refuse_other_kind(rows, *_STARTS[rows_format], force=force)
    starts = ("image,reason\r\n", "image,reason\n") if is_file(output) else ()
    refuse_other_kind(_skipped_file(output), *starts, force=force)


def _skipped_file(output: Path) -> Path:
    return output.with_name(f"{output.stem}.skipped.csv")


def _write(
    rows: Iterator[Prediction], output: Path | None, format_: RowsFormat, columns: Columns
) -> None:
    from latte.evaluate.predictions import stream_predictions
    from latte.predict.stream import write_rows

    if output is None:
        stream_predictions(rows_stream(), rows, format_, columns)
    else:
        said = "the rows so far are in"
        write_rows(output, rows, format_, columns, lambda file: echo(f"{said} {file}", err=True))


def _print_notes(sorter: Sorter | None, skipped: _Skipped) -> None:
    """Print numbers of sorted and skipped images.

    The exit code is `SOME_SKIPPED` if images were skipped.
    """
    if sorter:
        echo(sorter.summary(), err=True)
    for warning in skipped.left_out.warnings():
        echo(f"warning: {warning}", err=True)
    if count := skipped.count + skipped.left_out.images:
        echo(f"images left out: {count:,}", err=True)
        raise typer.Exit(SOME_SKIPPED)


class _Skipped:
    """List of images that cannot be read; each image is also printed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        from latte.data.sources.walk import LeftOut

        self.images: list[SkippedImage] = []
        self.left_out = LeftOut()
        self._say = say

    def __call__(self, image: SkippedImage) -> None:
        self.images.append(image)
        self._say(f"skipped {image.id}: {image.reason}")

    @property
    def count(self) -> int:
        return len(self.images)

    def write(self, path: Path | None) -> None:
        """Write the list of skipped images to `path`; if none was skipped, delete an older list."""
        if path is None:
            return
        from latte.data.scan import SkippedImage, write_skipped

        left_out = [SkippedImage(path_as_text(str(one)), why) for one, why in self.left_out.reasons]
        if images := [*self.images, *left_out]:
            write_skipped(path, images, "image")
            echo(f"images left out, with reasons: {path}", err=True)
        else:
            path.unlink(missing_ok=True)


def _count(images: Sequence[str]) -> int | None:
    """Return the number of images; None if their paths come from standard input.

    Raises `LatteError` if there is no image.
    """
    from latte.data.sources.walk import LeftOut
    from latte.predict.stream import named_images

    if STDIN in images:
        return None
    left_out = LeftOut()
    total = sum(1 for _ in named_images(images, lambda error: None, left_out))
    if total == 0:
        hint = "\n  ".join(left_out.warnings())
        raise LatteError("there is no image here", where=", ".join(images), hint=hint or None)
    return total


def _found(images: Sequence[str], sort_into: Path | None, skipped: _Skipped) -> Iterator[Path]:
    from latte.data.scan import SkippedImage
    from latte.predict.sorting import refuse_inside
    from latte.predict.stream import named_images

    def unlisted(error: LatteError) -> None:
        skipped(SkippedImage(error.where or "", error.what))

    def paths() -> Iterator[str]:
        for path in images:
            if path != STDIN:
                yield path
                continue
            lines = (line.rstrip("\r\n") for line in sys.stdin)
            for given in map(_listed_path, filter(None, lines)):
                if sort_into:
                    refuse_inside(sort_into, given)
                yield given

    for one in named_images(paths(), unlisted, skipped.left_out):
        if isinstance(one.content, Path):
            yield one.content


def _listed_path(line: str) -> str:
    """Return the path in a line of standard input. Raises `LatteError` if it cannot be a path."""
    if "\0" in line:
        what = "a line contains a null character, so it is no path"
        hint = "write one path per line, as `find -print` does and `find -print0` does not"
        raise LatteError(what, where="standard input", hint=hint)
    return path_from_text(line)


def _sorter(
    folder: Path | None,
    class_names: Sequence[str],
    link: bool,
    min_confidence: float | None,
    say: Callable[[str], None],
) -> Sorter | None:
    from latte.predict.sorting import Sorter

    if folder is None:
        return None
    least = min_confidence or 0.0
    return Sorter(folder, class_names, link=link, min_confidence=least, warn=say)


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
