"""Classify images for a command: write the rows, and sort the images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from latte.cli.classified import Classified, Tally
from latte.interfaces import LatteError
from latte.interfaces.measurements import UsedModel
from latte.io.files import digest
from latte.io.paths import (
    is_file,
    path_as_text,
    path_from_text,
    refuse_other_kind,
    refuse_read_only,
)
from latte.report.numbers import plural
from latte.report.output import echo, rows_stream

if TYPE_CHECKING:
    from latte.data.images import SkippedImage
    from latte.evaluate.predictions import Columns, Prediction
    from latte.interfaces import Progress
    from latte.predict.image_predictor import ImagePredictor
    from latte.predict.rows_file import RowsFile, WrittenRows
    from latte.predict.sidecars import Sidecars
    from latte.predict.sorting import Sorter

RowsFormat = Literal["csv", "jsonl", "xlsx"]
STDIN = "-"
_STARTS = {
    "csv": tuple(
        f"image,{columns}class_1," for columns in ("", "source,", "match,", "source,match,")
    ),
    "jsonl": ('{"image": ',),
    "xlsx": ("PK\x03\x04\x14\0\0\0\x08\0\0\0!\0",),
}
"""First characters of the files that `latte predict` may replace, by format."""
_JSON_LINES = (".jsonl", ".ndjson")
_OTHER_FORMATS = (".json", ".parquet", ".xls")
"""Suffixes of files that other programs would not read as CSV."""


@dataclass(frozen=True)
class Settings:
    """Settings that determine a row; see `latte predict --help`."""

    top_k: int = 5
    unknown_below: float | None = None
    use: UsedModel | None = None
    batch_size: int = 64

    @property
    def key(self) -> str:
        """All settings that change a row by more than rounding."""
        return f"{self.top_k} {self.unknown_below} {self.use}"


DEFAULT = Settings()


@dataclass(frozen=True)
class Target:
    """Places to which the classes of images are written."""

    output: Path | None
    """File of the rows; None means standard output."""
    format: RowsFormat
    sort_into: Path | None = None
    link: bool = False
    sidecars: Literal["xmp"] | None = None
    """Format of files beside the images that name their classes."""
    min_confidence: float | None = None

    def check(self, images: Sequence[str], *, force: bool) -> None:
        """Raise `LatteError` if a place cannot be written, or is among the `images`."""
        from latte.predict.sorting import refuse_inside

        if self.format == "xlsx" and self.output is None:
            raise LatteError("--format xlsx needs a file", hint="--output labels.xlsx")
        for path in images:
            if self.sort_into and path != STDIN:
                refuse_inside(self.sort_into, path)
        if self.sort_into is not None:
            refuse_read_only(self.sort_into / "CLASS", "--sort-into")
        if self.output is not None:
            _refuse_own_files(self.output, self.format, force=force)


NOWHERE = Target(None, "csv")


def classify(
    model: ImagePredictor,
    images: Sequence[str],
    target: Target,
    progress: Progress,
    *,
    quiet: bool = False,
    total: int | None = None,
    settings: Settings = DEFAULT,
) -> Classified:
    """Write the classes of `images` to the `target`; return what was done.

    A stopped call with the same arguments is continued.
    """
    from latte.evaluate.predictions import with_unknown
    from latte.predict.rows_file import RowsFile, continued

    say = (lambda line: echo(line, err=True)) if quiet else progress.say
    skipped = _Skipped(say)

    def predict(paths: Iterable[Path]) -> Iterator[Prediction]:
        rows = model.predict_iter(
            paths, top_k=settings.top_k, batch_size=settings.batch_size, on_unreadable=skipped
        )
        return with_unknown(rows, settings.unknown_below, knows_none=model.knows_none)

    paths = _image_paths(images, target.sort_into, skipped)
    columns, file, written = model.columns(settings.top_k), None, None
    if target.output is not None:
        key = digest(model.key, settings.key)
        file = RowsFile(target.output, target.format, columns, key)
        written = file.written(model.classes, settings.batch_size)
        _print_written(written, file.unfinished, progress)
        rows = continued(paths, written, predict)
    else:
        rows = predict(paths)
    places, tally = _places(target, model.classes, say), Tally(len(model.classes))
    for place in places:
        rows = place.write(rows)
    rows = tally.count(rows)
    _write(_with_progress(rows, progress, total, skipped), file, columns, target)
    skipped_list = skipped.write(target.output and _skipped_file(target.output))
    if written and written.changed:
        images = plural(written.changed, "image")
        progress.say(f"{images} changed since the earlier call, and got new rows")
    warnings = skipped.left_out.warnings()
    return Classified(
        model.reviewed,
        model.classes,
        target.output,
        tally,
        [place.summary() for place in places],
        skipped.total,
        skipped_list,
        warnings,
    )


def format_of(output: Path | None) -> RowsFormat:
    """Return the format that the suffix of `output` names; CSV for standard output."""
    suffix = output.suffix.lower() if output else ""
    if suffix in _OTHER_FORMATS:
        hint = "name the file .csv, .xlsx or .jsonl (one JSON object per line), or add --format"
        raise LatteError(f"rows are not written as {suffix}", where=f"--output {output}", hint=hint)
    if suffix == ".xlsx":
        return "xlsx"
    return "jsonl" if suffix in _JSON_LINES else "csv"


def _refuse_own_files(output: Path, rows_format: RowsFormat, *, force: bool) -> None:
    """Raise `LatteError` if a file that `predict` replaces or deletes may not be its own.

    A list of skipped images is one of its own only beside rows of any format, which share it.
    """
    is_list = rows_format == "jsonl" and is_file(output) and not _has_classes(output)
    refuse_other_kind(output, *(() if is_list else _STARTS[rows_format]), force=force)
    has_rows = any(is_file(output.with_suffix(f".{suffix}")) for suffix in _STARTS)
    starts = ("image,reason\r\n", "image,reason\n") if has_rows or is_file(output) else ()
    refuse_other_kind(_skipped_file(output), *starts, force=force)


def _has_classes(rows: Path) -> bool:
    """Return False for JSON lines about images that `predict` did not write, such as a dataset."""
    with rows.open("rb") as file:
        return b'"classes": [{"class": ' in file.readline(2**20)


def _skipped_file(output: Path) -> Path:
    return output.with_name(f"{output.stem}.skipped.csv")


def _write(
    rows: Iterator[Prediction], file: RowsFile | None, columns: Columns, target: Target
) -> None:
    from latte.evaluate.predictions import stream_predictions

    if file is not None:
        file.write(rows)
        return
    assert target.format != "xlsx", "the target was checked"
    stream_predictions(rows_stream(), rows, target.format, columns)


def _print_written(written: WrittenRows, path: Path, progress: Progress) -> None:
    """Print the number of rows that are kept, or why none is."""
    if written.are_unknown:
        progress.say(f"no row of {path} names its image's content: all images are classified again")
    elif len(written):
        progress.say(f"{len(written):,} rows of {path} are kept, if their images have not changed")


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

    @property
    def total(self) -> int:
        """Number of unreadable images, and of files in image formats that are not read."""
        return self.count + self.left_out.images

    def write(self, path: Path | None) -> Path | None:
        """Write the list of skipped images to `path`, and return it.

        If no image was skipped, delete an older list and return None.
        """
        if path is None:
            return None
        from latte.data.images import SkippedImage
        from latte.data.scan import write_skipped

        reasons = self.left_out.reasons
        left_out = [SkippedImage(path_as_text(str(file)), reason) for file, reason in reasons]
        if images := [*self.images, *left_out]:
            write_skipped(path, images, "image")
            return path
        path.unlink(missing_ok=True)
        return None


def count_images(images: Sequence[str]) -> int | None:
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


def _image_paths(
    images: Sequence[str], sort_into: Path | None, skipped: _Skipped
) -> Iterator[Path]:
    from latte.data.images import SkippedImage
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
            for listed_path in map(_listed_path, filter(None, lines)):
                if sort_into:
                    refuse_inside(sort_into, listed_path)
                yield listed_path

    for image in named_images(paths(), unlisted, skipped.left_out):
        if isinstance(image.content, Path):
            yield image.content


def _listed_path(line: str) -> str:
    """Return the path in a line of standard input. Raises `LatteError` if it cannot be a path."""
    if "\0" in line:
        what = "a line contains a null character, so it is no path"
        hint = "write one path per line, as `find -print` does and `find -print0` does not"
        raise LatteError(what, where="standard input", hint=hint)
    return path_from_text(line)


def _places(
    target: Target, class_names: Sequence[str], say: Callable[[str], None]
) -> list[Sorter | Sidecars]:
    """Return what writes the class of each image beside the rows."""
    from latte.predict.sidecars import Sidecars
    from latte.predict.sorting import Sorter

    least = target.min_confidence or 0.0
    places: list[Sorter | Sidecars] = []
    if target.sort_into is not None:
        into = target.sort_into
        places.append(Sorter(into, class_names, link=target.link, min_confidence=least, warn=say))
    if target.sidecars is not None:
        places.append(Sidecars(least))
    return places


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
