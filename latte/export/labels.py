"""`latte export`: write the labels of a run's training images for other tools.

The labels are those of `pseudo_labels.csv`, column `adapted`: the classes by the model that the run
uses, or "none of these".
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from latte.export.folder import require, whole_folder
from latte.interfaces import ImageReference, LatteError, Progress
from latte.interfaces.questions import NONE_OF_THESE
from latte.io.files import digest, write_atomically, write_text
from latte.io.paths import distinct_names, refuse_read_only
from latte.io.redaction import printable
from latte.io.workbooks import write_workbook
from latte.results.rows import RankedClasses
from latte.results.run import Run, open_finished

LabelFormat = Literal["csv", "jsonl", "xlsx", "parquet", "imagefolder", "label-studio", "fiftyone"]
ListImages: TypeAlias = Callable[[], Sequence[ImageReference]]
ExportedLabel: TypeAlias = tuple[str, str, float, int]
"""ID of an image, its label (a class or "none of these"), its confidence, and its series."""
_COLUMNS = ("image", "label", "confidence", "series")
_METADATA = "metadata.csv"
"""File with a row per image, which `datasets.load_dataset("imagefolder")` reads."""
_IMAGE, _CHOICES = "image", "label"


@dataclass(frozen=True)
class ExportedLabels:
    """Result of an export: the number of images, and the files."""

    images: int
    files: tuple[Path, ...]
    note: str | None = None


def export_labels(
    path: Path,
    format_: LabelFormat,
    output: Path,
    training_images: ListImages,
    progress: Progress,
    *,
    force: bool = False,
) -> ExportedLabels:
    """Write the labels of the run at `path` to the file or folder `output`.

    Args:
        path: a run folder.
        format_: `imagefolder` and `fiftyone` write a folder with copies of the images.
        output: a new file, or a new or empty folder.
        training_images: lists the images of the run's dataset; called only if a format needs them.
        progress: reports the copying of images.
        force: replace an existing file; a folder is never replaced.

    Raises:
        LatteError: if `output` exists or cannot be created, a package is missing, the run is
            unfinished, or its images are missing or have changed.
    """
    run = open_finished(path)
    if format_ in ("imagefolder", "fiftyone"):
        return _export_folder(run, format_, output, training_images, progress)
    if format_ == "label-studio":
        return _export_tasks(run, output, training_images, force)
    _refuse_existing(output, force)
    if format_ == "parquet":
        require("pyarrow", "parquet")
    labels = _labels(run)
    with write_atomically(output) as temporary:
        _write(temporary, format_, labels)
    return ExportedLabels(len(labels), (output,))


def _write(path: Path, format_: LabelFormat, labels: Sequence[ExportedLabel]) -> None:
    if format_ == "xlsx":
        write_workbook(path, [_COLUMNS, *labels])
        return
    rows = (dict(zip(_COLUMNS, label, strict=True)) for label in labels)
    if format_ == "parquet":
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
        types = (pyarrow.string(), pyarrow.string(), pyarrow.float64(), pyarrow.int64())
        schema = pyarrow.schema(list(zip(_COLUMNS, types, strict=True)))
        parquet.write_table(pyarrow.Table.from_pylist([*rows], schema=schema), path)
        return
    if format_ == "csv":
        _write_csv(path, [_COLUMNS, *labels])
        return
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_json(row)}\n" for row in rows)


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _export_tasks(
    run: Run, output: Path, training_images: ListImages, force: bool
) -> ExportedLabels:
    """Write tasks for Label Studio, and the labelling interface for these tasks."""
    interface = output.with_name(f"{output.stem}-interface.xml")
    for path in (output, interface):
        _refuse_existing(path, force)
    answers = _answers(run)
    images = _images(training_images, answers)
    for image in images:
        if image.span is not None:
            what = "Label Studio cannot read images in archives"
            hint = "write the images to a folder first: --format imagefolder"
            raise LatteError(what, where=str(image.path), hint=hint)
    # The document root must have all images in a sub-folder.
    root = Path(os.path.commonpath([image.path.resolve().parent for image in images])).parent
    with write_atomically(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        model, series = run.folder.path.name, run.rows.series
        tasks = _tasks(answers, images, run.class_names, series, root, model)
        file.write("[\n" + ",\n".join(map(_json, tasks)) + "\n]\n")
    choices = "".join(
        f"    <Choice value={quoteattr(printable(name))}/>\n" for name in _label_names(run, answers)
    )
    write_text(
        interface,
        f'<View>\n  <Image name="{_IMAGE}" value="$image"/>\n'
        f'  <Choices name="{_CHOICES}" toName="{_IMAGE}" choice="single">\n'
        f"{choices}  </Choices>\n</View>\n",
    )
    note = (
        "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}"
    )
    return ExportedLabels(len(answers), (output, interface), note)


def _export_folder(
    run: Run,
    format_: LabelFormat,
    output: Path,
    training_images: ListImages,
    progress: Progress,
) -> ExportedLabels:
    """Copy the images into folders per class, or into a folder beside FiftyOne's `labels.json`."""
    with whole_folder(output, replace=False) as folder:
        answers = _answers(run)
        images = _images(training_images, answers)
        files = _files(run, format_, answers, images)
        with progress.task("copy", len(images), "images") as task:
            for image, key, file in zip(images, run.rows.training_keys, files, strict=True):
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).write_bytes(_content(image, key))
                task.advance()
        if format_ == "imagefolder":
            rows = [
                (str(file), *label[1:]) for file, label in zip(files, _labels(run), strict=True)
            ]
            _write_csv(folder / _METADATA, [("file_name", *_COLUMNS[1:]), *rows])
        else:
            _write_fiftyone(folder / "labels.json", run, answers, files)
    return ExportedLabels(len(answers), (output,))


def _files(
    run: Run,
    format_: LabelFormat,
    answers: Sequence[RankedClasses],
    images: Sequence[ImageReference],
) -> list[PurePosixPath]:
    """Return the path of each image's copy, below the folder of the export."""
    folders: dict[str, str] = {}
    if format_ == "imagefolder":
        names = [*run.class_names, NONE_OF_THESE]
        folders = dict(zip(names, distinct_names(names, reserved=[_METADATA]), strict=True))
    stems = distinct_names(PurePosixPath(image.id).stem for image in images)
    return [
        PurePosixPath(
            folders.get(answer.named(run.class_names)[0], "data"),
            stem + (PurePosixPath(image.id).suffix or image.path.suffix),
        )
        for answer, image, stem in zip(answers, images, stems, strict=True)
    ]


def _write_fiftyone(
    path: Path, run: Run, answers: Sequence[RankedClasses], files: Sequence[PurePosixPath]
) -> None:
    names = _label_names(run, answers)
    place = {name: index for index, name in enumerate(names)}
    named = [answer.named(run.class_names) for answer in answers]
    labels = {
        file.stem: {"label": place[name], "confidence": confidence, "series": number}
        for file, (name, confidence), number in zip(files, named, run.rows.series, strict=True)
    }
    path.write_text(_json({"classes": names, "labels": labels}), encoding="utf-8")


def _label_names(run: Run, answers: Sequence[RankedClasses]) -> list[str]:
    """Return the class names, and last "none of these" if an image is called so."""
    is_none = any(answer.none is not None for answer in answers)
    return [*run.class_names, *([NONE_OF_THESE] if is_none else [])]


def _labels(run: Run) -> list[ExportedLabel]:
    return [
        (answer.image, *answer.named(run.class_names), number)
        for answer, number in zip(_answers(run), run.rows.series, strict=True)
    ]


def _answers(run: Run) -> list[RankedClasses]:
    return [answer for _, answer in run.rows.pseudo_label_rows()]


def _images(training_images: ListImages, answers: Sequence[RankedClasses]) -> list[ImageReference]:
    """Return the image of each of `answers`. Raises `LatteError` if the dataset lacks an image."""
    images_by_id = {image.id: image for image in training_images()}
    if missing_images := [answer.image for answer in answers if answer.image not in images_by_id]:
        what = f"{len(missing_images)} images of this run are not in its dataset any more"
        raise LatteError(
            what, where=missing_images[0], hint="put them back, or run the recipe again"
        )
    return [images_by_id[answer.image] for answer in answers]


def _content(image: ImageReference, key: str) -> bytes:
    """Return the bytes of an image. Raises `LatteError` if their hash is not `key`."""
    try:
        data = image.read_bytes()
    except OSError as error:
        what = f"the image cannot be read: {error.strerror or error}"
        raise LatteError(what, where=str(image.path)) from error
    if digest(data) != key:
        what = "this image has changed since the run, so its label may be wrong"
        raise LatteError(what, where=str(image.path), hint="run the recipe again")
    return data


def _refuse_existing(path: Path, force: bool) -> None:
    """Raise `LatteError` if `path` cannot be written, or exists and `force` is false.

    A path cannot be written if it is a folder, or is in a folder that cannot be created.
    """
    refuse_read_only(path)
    if path.is_dir():
        raise LatteError("this is a folder, and the export is a file", where=str(path))
    if path.exists() and not force:
        hint = "give another --output, or replace the file with --force"
        raise LatteError("something is here already", where=str(path), hint=hint)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tasks(
    answers: Sequence[RankedClasses],
    images: Sequence[ImageReference],
    class_names: Sequence[str],
    series: Sequence[int],
    root: Path,
    model: str,
) -> Iterator[dict[str, Any]]:
    """Yield one Label Studio task per image, with the run's label as a prediction."""
    for answer, image, number in zip(answers, images, series, strict=True):
        path = os.fsencode(image.path.resolve().relative_to(root).as_posix())
        name, score = answer.named(class_names)
        result = {
            "from_name": _CHOICES,
            "to_name": _IMAGE,
            "type": "choices",
            "value": {"choices": [printable(name)]},
        }
        yield {
            "data": {
                "image": f"/data/local-files/?d={quote(path)}",
                "image_id": answer.image,
                "series": number,
            },
            "predictions": [{"model_version": model, "score": score, "result": [result]}],
        }
