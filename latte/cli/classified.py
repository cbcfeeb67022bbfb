"""Print how the classification of images ended: one screen on a terminal, else plain lines."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.evaluate.predictions import Prediction
from latte.interfaces.questions import NONE_OF_THESE
from latte.io.paths import relative
from latte.report.numbers import duration, percent, plural
from latte.report.output import echo
from latte.report.screen import Bar, Screen, Step, can_draw, print_screen
from latte.report.terminal import in_lines

LOW = 0.5
"""Confidence below which an image is counted as doubtful."""


class Tally:
    """Counter of images, of low confidences and of classes; as text, a line that sums them up."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._start = time.monotonic()
        self.low: int = 0
        self.labels: Counter[int] = Counter()
        """Numbers of images by label; the label of images of no class is below 0."""

    def count(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield the rows, and count them."""
        for row in rows:
            self.low += row.confidence < LOW
            self.labels[max(row.label, -1)] += 1
            yield row

    @property
    def images(self) -> int:
        """Number of images."""
        return self.labels.total()

    @property
    def seconds(self) -> str:
        """Time since the start, as text."""
        return duration(time.monotonic() - self._start)

    def __str__(self) -> str:
        """Return the line, as in `3 images in 1 s; confidence below 50 %: 33 %; 2 of 5 classes`."""
        words = [f"{plural(self.images, 'image')} in {self.seconds}"]
        if self.images:
            share = percent(self.low / self.images, 100)
            words.append(f"confidence below {percent(LOW, 100)}: {share}")
        return "; ".join(
            [*words, f"{len(self.labels.keys() - {-1}):,} of {self._classes:,} classes"]
        )


@dataclass(frozen=True)
class Classified:
    """Result of a call of `classify`.

    Attributes:
        run: The run folder whose model answers teach; None if the model is no run's.
        classes: Class names in label order.
        output: File of the rows; None if they were printed.
        places: A sentence about each place to which classes were written beside the rows.
        left_out: Number of images that could not be read, or that have an unsupported format.
        skipped_list: File with these images and the reasons; None without any.
        warnings: Sentences on files that are no images, or not read.
    """

    run: Path | None
    classes: Sequence[str]
    output: Path | None
    tally: Tally
    places: Sequence[str]
    left_out: int
    skipped_list: Path | None
    warnings: Sequence[str]

    def print(self, *, quiet: bool = False) -> None:
        """Print on standard error what was done; if `quiet`, only what needs a look."""
        is_drawn = not quiet and can_draw(err=True)
        for warning in self.warnings:
            line = f"warning: {warning}"
            echo(in_lines(line) if is_drawn else line, err=True)
        if is_drawn:
            print_screen(self.screen(), err=True)
            return
        if self.skipped_list is not None:
            echo(f"images left out, with reasons: {self.skipped_list}", err=True)
        for summary in self.places:
            echo(summary, err=True)
        if self.left_out:
            echo(f"images left out: {self.left_out:,}", err=True)
        if not quiet:
            echo(str(self.tally), err=True)

    def screen(self) -> Screen:
        """Return the screen: classes with numbers of photos, the doubtful ones, the next step."""
        tally, files = self.tally, plural(self.left_out, "file")
        counts = sorted(tally.labels.items(), key=lambda item: (item[0] < 0, -item[1], item[0]))
        return Screen(
            status=f"{plural(tally.images, 'photo')} labelled in {tally.seconds}",
            warning=f"; {files} left out" if self.left_out else "",
            headings=("class", "photos", ""),
            bars=[
                Bar(self.classes[label] if label >= 0 else NONE_OF_THESE, number)
                for label, number in counts
            ],
            result=self._result(),
            trust=self._trust(),
            steps=self._steps(),
        )

    def _result(self) -> str:
        if self.places:
            return " ".join(f"{summary[:1].upper()}{summary[1:]}." for summary in self.places)
        occurring = len(self.tally.labels.keys() - {-1})
        return f"{occurring:,} of {plural(len(self.classes), 'class', 'classes')} occur."

    def _trust(self) -> str:
        """Return how many labels are doubtful by their own confidence."""
        if not self.tally.low:
            return f"No label has a confidence below {percent(LOW, 100)}."
        doubtful = plural(self.tally.low, "label")
        verb, these = ("has", "it") if self.tally.low == 1 else ("have", "these")
        return f"{doubtful} {verb} a confidence below {percent(LOW, 100)}: look at {these} first."

    def _steps(self) -> list[Step]:
        steps = []
        if self.run is not None:
            review = shlex.join(["latte", "review", relative(self.run)])
            steps.append(Step("next", review, ("answers improve the labels",)))
        if self.output is not None:
            steps.append(Step("labels", str(self.output)))
        if self.skipped_list is not None:
            steps.append(Step("skipped", str(self.skipped_list)))
        return steps
