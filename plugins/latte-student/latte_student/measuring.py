"""Measure classifiers of images: accuracy by series, and milliseconds per image on one core."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from latte.api import (
    ImageReference,
    Interval,
    Progress,
    accuracy_interval,
    digest,
    long_task,
    open_image,
)
from latte.api.output import bare_percent, table
from latte.api.runs import ImagePredictor
from latte_student.lesson import Lesson

_TIMED = 12
"""Images whose time is measured."""
Opens = Callable[[], ImagePredictor]
HEADINGS = ("model", "right %", "95 % interval", "bytes", "ms per image")


@dataclass(frozen=True)
class Examples:
    """Images with labels by which classifiers are measured."""

    images: tuple[ImageReference, ...]
    labels: tuple[int, ...]
    series: tuple[str, ...]
    """Name of the series of each image; the images of a series count as one."""
    are_true: bool
    """False if the labels are the run's own, so that agreement with the run is measured."""

    @property
    def title(self) -> str:
        """Description of what the share of right labels is about."""
        series = len(set(self.series))
        count = f"{len(self.images):,} images" + (
            f" of {series:,} series" if series < len(self.images) else ""
        )
        if self.are_true:
            return f"accuracy on {count} with labels, which nothing learned from"
        return f"agreement with the labels of the run on {count} that the student did not see"


@dataclass(frozen=True)
class Measured:
    """Measurements of one classifier."""

    name: str
    right: Interval
    """Share of labels that are right, or that agree with the run."""
    images: int
    """Number of images that were labelled."""
    bytes: int
    milliseconds: float
    """Median time of one image on one core, from decoded pixels to classes."""

    def cells(self) -> list[str]:
        """Return the row of the table, in the order of `HEADINGS`."""
        low, high = (bare_percent(end, self.images) for end in (self.right.low, self.right.high))
        return [
            self.name,
            bare_percent(self.right.value, self.images),
            f"{low} to {high}",
            f"{self.bytes:,}",
            f"{self.milliseconds:.1f}",
        ]


def labelled_examples(
    images: Sequence[ImageReference], labels: Sequence[int], progress: Progress
) -> Examples:
    """Return examples with true labels; equal files and named series count as one image."""
    series = []
    with long_task(progress, "read labelled images", len(images), "images") as task:
        for image in images:
            series.append(image.series or digest(image.read_bytes()))
            task.advance()
    return Examples(tuple(images), tuple(labels), tuple(series), are_true=True)


def left_out_examples(lesson: Lesson, series: Sequence[int]) -> Examples:
    """Return the left-out images with the likeliest classes of the run."""
    rows = lesson.left_out.tolist()
    return Examples(
        tuple(lesson.images[row] for row in rows),
        tuple(lesson.targets[lesson.left_out].argmax(dim=1).tolist()),
        tuple(str(series[row]) for row in rows),
        are_true=False,
    )


def measure(
    name: str, opens: Opens, files: Sequence[Path], examples: Examples, progress: Progress
) -> Measured:
    """Measure the classifier that `opens` returns; its `files` count for its bytes."""
    right = share_of_right(opens(), examples, f"measure {name}", progress)
    size = sum(path.stat().st_size for path in files)
    return Measured(name, right, len(examples.images), size, milliseconds(opens, examples.images))


def share_of_right(
    model: ImagePredictor, examples: Examples, title: str, progress: Progress
) -> Interval:
    """Return the share of right labels; the share in a series counts as one image."""
    shares: dict[str, list[bool]] = defaultdict(list)
    decoded = (open_image(image) for image in examples.images)
    with long_task(progress, title, len(examples.images), "images") as task:
        for prediction, label, series in zip(
            model.predict_iter(decoded, top_k=1), examples.labels, examples.series, strict=True
        ):
            shares[series].append(prediction.label == label)
            task.advance()
    return accuracy_interval(sum(sum(hits) / len(hits) for hits in shares.values()), len(shares))


def milliseconds(opens: Opens, images: Sequence[ImageReference]) -> float:
    """Return the median time of one decoded image by one thread, in milliseconds.

    It is the processor's time, so that other processes on the machine do not count.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = opens()
        decoded = [open_image(image) for image in images[:_TIMED]]
        for picture in decoded[:2]:  # loads kernels and allocates memory
            list(model.predict_iter([picture], batch_size=1))
        times = []
        for picture in decoded:
            began = time.process_time()
            list(model.predict_iter([picture], batch_size=1))
            times.append(time.process_time() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(times)


def table_lines(rows: Sequence[Measured]) -> list[str]:
    """Return the lines of the table of measurements."""
    return table(HEADINGS, [row.cells() for row in rows])
