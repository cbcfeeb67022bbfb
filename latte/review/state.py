"""The state that the head of the page shows: one number, classes, and what the answers changed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte.evaluate.confidence_sequence import confidence_sequence
from latte.interfaces import Interval
from latte.io.paths import relative
from latte.results.answers import MEASURING
from latte.results.class_hues import class_hues
from latte.results.measured_labels import LEAST_RANDOM, MeasuredLabels, measured_labels
from latte.results.run_answers import Stored
from latte.review.class_names import why_fixed
from latte.review.guarded import error_data
from latte.review.live import Learning
from latte.review.outputs import Outputs
from latte.review.page_texts import estimate_facts, page_texts
from latte.review.photo_map import DOUBTFUL
from latte.review.session import Review

LEAST_LEFT_OUT = 6
"""Smallest number of answers about random photos from which left-out ones make an estimate."""
_TEN = 10
_FEW = 20
"""With fewer answers, the expected gain of ten more is known to be too low."""


@dataclass(frozen=True)
class PageEstimate:
    """The one estimate that the page shows; shares are percentages."""

    source: str
    answers: int
    needed: int
    """Number of answers until there is an estimate, or until random photos alone make it."""
    accuracy: Interval | None = None
    zero_shot: float | None = None

    def data(self) -> dict[str, Any]:
        """Return the estimate as JSON data."""
        data = {
            "source": self.source,
            "answers": self.answers,
            "needed": self.needed,
            "isNear": self.answers >= LEAST_LEFT_OUT,
        }
        return data | ({} if self.accuracy is None else percentages(self.accuracy))


def percentages(interval: Interval) -> dict[str, float]:
    """Return the value and both ends of an interval, in percent."""
    shares = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: round(100 * share, 1) for name, share in shares.items()}


def page_estimate(
    learning: Learning, review: Review, stored: Stored, score: MeasuredLabels
) -> PageEstimate:
    """Return the estimate from one source: random photos, else left-out answers, else nothing.

    `score` is that of the labels by answers about random photos.
    Only answers about random photos are left out: those in groups are about typical photos, whose
    neighbours have answers, so that they would be guessed far too well.
    """
    images = learning.revision.images
    label_of = {name: label for label, name in enumerate(stored.class_names)}
    missing = max(0, LEAST_RANDOM - score.answers)
    if score.is_enough:
        return PageEstimate("random", score.answers, 0, score.accuracy, score.zero_shot)
    drawn = {answer.key for answer in stored.lines if answer.queue == MEASURING}
    right = learning.revision.left_out_right
    taught = learning.revision.taught.items()
    labels = {key: label_of[name] for key, name in taught if name in label_of}
    measuring = right.keys() & drawn & labels.keys()
    sample = [image for image in images if image.key in measuring]
    if len(sample) < LEAST_LEFT_OUT:
        return PageEstimate("unknown", score.answers, missing)
    known = sum(image.key in labels for image in images)
    hits = [float(right[image.key]) for image in sample]
    others = len(images) - known
    part = confidence_sequence(hits, others + len(hits), 0, 1)
    ends = ((known + others * end) / len(images) for end in (part.value, part.low, part.high))
    share = sum(image.zero_shot == labels[image.key] for image in sample) / len(sample)
    return PageEstimate("left-out", len(sample), missing, Interval(*ends), share)


def _measured(score: MeasuredLabels) -> Mapping[str, int]:
    """Return how many labels of random photos were right before their answers."""
    right = sum(int(lowest) for lowest, _ in score.drawn)
    needed = max(0, LEAST_RANDOM - score.answers)
    return {"answers": len(score.drawn), "right": right, "needed": needed}


class PageState:
    """The state of the page as JSON data, and the history of its estimate."""

    def __init__(self, review: Review, learning: Learning, outputs: Outputs, photos: int) -> None:
        self._review, self._learning, self._photos = review, learning, photos
        self._outputs = outputs
        self._history: list[dict[str, float]] = []
        self._hues: Mapping[int, str] = {}
        self._earlier = len(review.stored().answers)
        self._why_fixed = why_fixed(review.run)

    def data(self, stored: Stored, groups_left: int, can_undo: bool) -> dict[str, Any]:
        """Return the whole state."""
        review, learning = self._review, self._learning
        revision, change = learning.revision, learning.change
        score = measured_labels(revision.images, stored.answers, stored.class_names, review.model)
        estimate = page_estimate(learning, review, stored, score)
        verdict, labels = review.run.record.judge.verdict, range(len(stored.class_names))
        counts = [revision.counts[label] for label in labels]
        by_size = sorted(labels, key=lambda label: -counts[label])
        self._hues = class_hues(by_size, self._hues)
        state: dict[str, Any] = {
            "name": review.name,
            "photos": self._photos,
            "classes": stored.class_names,
            "canNameClasses": not self._why_fixed,
            "revision": revision.number,
            "answered": len(stored.answers),
            "earlier": self._earlier,
            "settled": learning.is_settled,
            "groupsLeft": groups_left,
            "counts": counts,
            "bySize": by_size,
            "hues": [self._hues[label] for label in labels],
            "zeroShotCounts": [revision.zero_shot_counts[label] for label in labels],
            "zeroShotKnowsNames": None if verdict is None else verdict.names_known,
            "estimate": estimate.data(),
            "zeroShot": None if estimate.zero_shot is None else round(100 * estimate.zero_shot, 1),
            "history": self._with(estimate),
            "measured": _measured(score),
            "first": "doubtful" if {*review.disputed} - stored.answers.keys() else "groups",
            "doubtful": sum(confidence < DOUBTFUL for confidence in revision.confidences),
            "tenMore": self._ten_more(stored),
            "teaching": self.teaching(),
            "measureFrozen": learning.is_held,
            "finishing": learning.is_writing,
            "finished": self.finished(),
            "change": None
            if change is None
            else {"count": change.count, "revision": change.revision},
            "canUndo": can_undo,
            "commands": self.commands(),
            "outputs": {name: relative(path) for name, path in self._outputs.paths().items()},
        }
        return state | {"texts": page_texts(state), "facts": estimate_facts(state)}

    def finished(self) -> Mapping[str, Any] | None:
        """Return the run that all answers taught; None if there is none."""
        written = self._learning.written
        if written is None:
            return None
        folder = relative(written.folder)
        return {"folder": folder, "lines": written.lines, "commands": self.commands()}

    @property
    def newest_run(self) -> Path:
        """Folder of the run that all answers taught, or else of the reviewed run."""
        written = self._learning.written
        return written.folder if written else self._review.run.folder.path

    def commands(self) -> Mapping[str, str]:
        """Return the commands of the newest run: sort into folders, export, predict, report."""
        folder = relative(self.newest_run)
        run = shlex.quote(folder)
        photos = self._outputs.photos
        images = "IMAGES" if photos is None else shlex.quote(relative(photos))
        return {
            "sort": f"latte predict {run} {images} --sort-into sorted",
            "export": f"latte export {run} --format csv",
            "predict": f"latte predict {run} NEW_IMAGES",
            "report": shlex.quote(f"{folder}/report/index.html"),
        }

    def _with(self, estimate: PageEstimate) -> Sequence[Mapping[str, float]]:
        """Return the history, which ends with this estimate."""
        if estimate.accuracy is not None:
            point = {"answers": estimate.answers, **percentages(estimate.accuracy)}
            if not self._history or self._history[-1] != point:
                self._history = [
                    earlier for earlier in self._history if earlier["answers"] < estimate.answers
                ] + [point]
        return self._history

    def _ten_more(self, stored: Stored) -> Mapping[str, Any] | None:
        """Return the points of accuracy that ten more answers are expected to bring."""
        asking = self._review.asking
        if asking is None:
            return None
        points = 100 * asking.expected_gain(self._review.settled(stored), _TEN)
        return {"points": round(points, 1), "atLeast": len(stored.answers) < _FEW}

    def teaching(self) -> Mapping[str, Any]:
        """Return what the learning thread does, and its error."""
        learning = self._learning
        state: dict[str, Any] = {"state": learning.state}
        if learning.state == "failed" and learning.error is not None:
            state["error"] = error_data(learning.error)
        return state | ({"note": learning.note} if learning.note else {})
