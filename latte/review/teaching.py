"""Teach a model with the answers while the page is open, and compare its labels with the old ones.

One thread at a time runs the recipe again in this process. Images are not encoded again, because
their features are cached.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

from latte.interfaces import LatteError, Progress, ProgressTask
from latte.io.machine import machine_errors
from latte.results.answers import now
from latte.results.population import ReviewImage
from latte.results.run import open_finished
from latte.results.taught_runs import learned_runs
from latte.review.asking import Features, order_of_asking
from latte.review.session import Review

_FAILED = "your answers are saved, but latte failed while it used them"
Teach = Callable[[Progress], tuple[Path, Sequence[str]]]
"""Function that teaches a model; it returns its run folder and sentences on its accuracy."""


@dataclass(frozen=True)
class LabelComparison:
    """The labels that the old and the new run use, even if a guard kept zero-shot CLIP."""

    old: Counter[int]
    """Number of images per label."""
    new: Counter[int]
    changed: tuple[tuple[ReviewImage, ReviewImage], ...]
    """The images whose label has changed, with the old and the new label, in random order."""
    lines: tuple[str, ...]
    """Sentences on the accuracy of the new model."""


class Teaching:
    """The newest attempt to teach a model with the answers of a review."""

    def __init__(self, review: Review, teach: Teach, features: Features) -> None:
        self._review = review
        self._teach = teach
        self._features = features
        self._thread: threading.Thread | None = None
        self.line = ""
        """The newest line of progress."""
        self.error: LatteError | None = None
        self.comparison: LabelComparison | None = None

    @property
    def is_running(self) -> bool:
        """True while a model is taught."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start to teach a model, unless one is being taught."""
        if self.is_running:
            return
        self.line, self.error, self.comparison = "starting", None, None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait(self) -> None:
        """Wait until no model is being taught."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        since, old = now(), self._review.images
        try:
            with machine_errors():
                folder, lines = self._teach(_Lines(self._show))
                self._review.adopt(open_finished(folder), since)
                self._review.asking = order_of_asking(
                    self._review.run, self._review.images, self._review.answers(), self._features
                )
        except LatteError as error:
            self.error = error
        except Exception:
            self.error = LatteError(_FAILED, hint="the terminal shows the error; please report it")
            raise
        else:
            self.comparison = compare(old, self._review.images, lines)

    def _show(self, line: str) -> None:
        self.line = line


def adopt_newest(review: Review) -> Path | None:
    """Ask about the labels by the newest model that learned from the answers; return its folder.

    The result is None if there is no such model; then the review asks about the run's own labels.
    """
    runs = [open_finished(folder) for folder in learned_runs(review.file)]
    if not runs:
        return None
    seconds, newest = max(
        ((run.folder.corrected.stat().st_mtime, run) for run in runs), key=itemgetter(0)
    )
    since = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    review.adopt(newest, since)
    return newest.folder.path


def compare(
    old: Sequence[ReviewImage], new: Sequence[ReviewImage], lines: Sequence[str]
) -> LabelComparison:
    """Return the comparison of the labels of the same images, by the old and the new model."""
    labels = {image.key: image for image in old}
    pairs = [(labels[image.key], image) for image in new if image.key in labels]
    return LabelComparison(
        Counter(old_image.used_label for old_image, _ in pairs),
        Counter(new_image.used_label for _, new_image in pairs),
        tuple(pair for pair in pairs if pair[0].used_label != pair[1].used_label),
        tuple(lines),
    )


class _Lines:
    """Progress that shows each step as one line."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        self._show(name)
        yield _TaskLine(self._show, name, total, unit, done)

    def say(self, line: str) -> None:
        self._show(line)


class _TaskLine:
    """Progress of one task, as a line."""

    def __init__(
        self, show: Callable[[str], None], name: str, total: int | None, unit: str, done: int
    ) -> None:
        self._show, self._name, self._total, self._unit, self._done = show, name, total, unit, done

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        self._done += amount
        total = "" if self._total is None else f"/{self._total:,}"
        self._show(f"{self._name}: {self._done:,}{total} {self._unit}")
