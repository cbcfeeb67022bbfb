"""Write beside the photos for the review page, by the code of `latte predict` and `export`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from latte.evaluate.predictions import with_unknown
from latte.export.folder import whole_folder
from latte.export.labels import export_labels
from latte.interfaces import ImageReference
from latte.predict.predictor import Predictor, open_predictor
from latte.predict.sorting import Sorter
from latte.report.progress import make_progress
from latte.review.outputs import OutputName, Outputs, photos_folder


def beside(images: Sequence[ImageReference]) -> Outputs:
    """Return what can be written beside the folder of these images."""
    return Outputs(photos_folder(images), partial(_write, images))


def _write(images: Sequence[ImageReference], run: Path, name: OutputName, path: Path) -> None:
    """Write the labels of a run's images: as copies in a folder per class, or as a table."""
    progress = make_progress(quiet=True)
    if name == "labels":
        export_labels(run, "csv", path, lambda: images, progress)
        return
    model = open_predictor(Predictor, run, "auto", progress)
    with whole_folder(path, replace=False) as folder:
        rows = model.predict_iter([image.path for image in images])
        copied = Sorter(folder, model.classes).write(with_unknown(rows, None))
        deque(copied, maxlen=0)  # each image is copied before its row is given
