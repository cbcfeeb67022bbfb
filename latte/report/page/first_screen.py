"""Make the first screen of a run's page: headline, chart, next step, and classes with photos."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from latte.interfaces import ClassifiedImage, Interval, RunResults
from latte.io.redaction import one_line
from latte.report.accuracy import measured_models
from latte.report.class_rows import ClassRow, class_rows
from latte.report.numbers import count, percent, rounded_points, rounded_points_range, rounded_share
from latte.report.outcome import Outcome
from latte.report.page.gallery import Thumbnail, thumbnail
from latte.report.svg import AxisScale, Drawing
from latte.results.class_hues import class_hues
from latte.results.run_answers import read_evidence

CARDS = 12
"""Number of classes with a card; the others have a contact sheet under a fold."""
_DOUBTFUL_SHOWN = 12
_STRIP_CLASSES = 8
_PHOTOS_ON_CARD = 5
_LARGE, _SMALL, _STRIP = 240, 120, 180
"""Sizes of square photos in pixels: the first of a card, the others, and one of the strip."""
_DIGITS_OF = 100
"""Assumed sample size of a confidence, so that it is shown without a decimal."""


@dataclass(frozen=True)
class ClassCard:
    """A class with its surest photos.

    Attributes:
        share: Photos of the class, in percent of those of the largest class.
        before: The same by zero-shot CLIP; None if the number is the same.
        change: Change of the number of photos, in words.
        fact: How many labelled photos are right, or nothing.
    """

    label: int
    name: str
    hue: str
    photos: int
    share: float
    before: float | None
    change: str
    fact: str
    pictures: tuple[Thumbnail | None, ...]
    is_doubtful: bool


@dataclass(frozen=True)
class DoubtfulPhoto:
    """A photo with its two likeliest classes."""

    picture: Thumbnail | None
    id: str
    hue: str
    first: str
    second: str


def first_screen(results: RunResults, outcome: Outcome) -> dict[str, Any]:
    """Return headline, chart, next step, cards and doubtful photos of a run."""
    rows = class_rows(results)
    hue_of = class_hues([row.label for row in rows])
    examples = _examples(results.examples)
    cards = [_card(results, row, rows, hue_of[row.label], examples) for row in rows[:CARDS]]
    return {
        "outcome": outcome,
        "proof": _proof(results, outcome),
        "cards": [card for card in cards if card.photos or card.pictures],
        "strip": _strip(rows[:_STRIP_CLASSES], hue_of, examples),
        "further_classes": max(0, len(rows) - CARDS),
        "doubtful": [
            _doubtful(results, photo, hue_of) for photo in results.uncertain[:_DOUBTFUL_SHOWN]
        ],
        "hues": hue_of,
    }


def _examples(examples: Sequence[ClassifiedImage]) -> Mapping[int, list[ClassifiedImage]]:
    of_class = defaultdict(list)
    for example in examples:
        of_class[example.labels[0]].append(example)
    return of_class


def _card(
    results: RunResults,
    row: ClassRow,
    rows: Sequence[ClassRow],
    hue: str,
    examples: Mapping[int, Sequence[ClassifiedImage]],
) -> ClassCard:
    largest = max(1, *(max(other.photos, other.before) for other in rows))
    shown = examples.get(row.label, ())[:_PHOTOS_ON_CARD]
    return ClassCard(
        row.label,
        one_line(row.name),
        hue,
        row.photos,
        100 * row.photos / largest,
        None if row.photos == row.before else 100 * row.before / largest,
        _change(results, row),
        _right(row),
        tuple(
            thumbnail(example.image, _SMALL if rank else _LARGE, square=True)
            for rank, example in enumerate(shown)
        ),
        row.is_doubtful,
    )


def _change(results: RunResults, row: ClassRow) -> str:
    if results.record.judge.used == "zero-shot":
        return "as zero-shot"
    change = row.photos - row.before
    if not change:
        return "as before"
    return f"{'+' if change > 0 else '−'}{count(abs(change))} since zero-shot"


def _right(row: ClassRow) -> str:
    if row.is_doubtful:
        return "fits almost no photo"
    if row.right is None:
        return ""
    share = rounded_share(row.right.correct / row.right.images, row.right.images)
    return f"{share if ' of ' in share else f'{share} of {row.right.images:,}'} right"


def _strip(
    rows: Sequence[ClassRow],
    hue_of: Mapping[int, str],
    examples: Mapping[int, Sequence[ClassifiedImage]],
) -> list[dict[str, Any]]:
    """Return one photo per class for the first screen: the second surest.

    Classes without an example have none.
    """
    strip = []
    for row in rows:
        shown = examples.get(row.label, ())
        if not shown:
            continue
        image = shown[min(1, len(shown) - 1)].image
        picture = thumbnail(image, _STRIP, square=True)
        hue = hue_of[row.label]
        strip.append({"row": row, "name": one_line(row.name), "hue": hue, "picture": picture})
    return strip


def _doubtful(
    results: RunResults, photo: ClassifiedImage, hue_of: Mapping[int, str]
) -> DoubtfulPhoto:
    names = [one_line(results.record.data.class_names[label]) for label in photo.labels]
    share = photo.confidences[0]
    confidence = percent(share, _DIGITS_OF) if share >= 0.01 else f"below {percent(0.01, 100)}"
    second = f"{confidence}, or {names[1]}" if len(names) > 1 else confidence
    picture = thumbnail(photo.image, _STRIP, square=True)
    return DoubtfulPhoto(picture, photo.image.id, hue_of[photo.labels[0]], names[0], second)


def _proof(results: RunResults, outcome: Outcome) -> dict[str, Any]:
    """Return title, mark, chart and note of the chart of accuracy."""
    rows, note = _accuracies(results, outcome)
    gain = _gain(results, outcome)
    if not rows:
        return {
            "title": "How many labels are right?",
            "mark": "not known yet",
            "tone": "unknown",
            "chart": _empty_chart(),
            "note": "Your answers, or photos that you have labelled, show it here.",
        }
    return {
        "title": "Accuracy, with 95 % intervals",
        "mark": gain,
        "tone": outcome.tone,
        "chart": _chart(rows),
        "note": note,
    }


def _gain(results: RunResults, outcome: Outcome) -> str:
    used, answers = measured_models(results.record).used, results.record.train.answers
    evidence = read_evidence(results.folder)
    gain = None
    if outcome.case == "measured" and used is not None:
        gain = used.gain
    elif outcome.case == "answered" and evidence is not None:
        gain = evidence.estimate.gain
    elif answers is not None and answers.measured is not None:
        gain = answers.measured.gain
    if gain is None:
        return ""
    return f"{rounded_points(gain.value)} points ({rounded_points_range(gain)})"


Measured = tuple[str, float, float, float, str]
"""A name, a share with the ends of its interval, and the share as text."""


def _accuracies(results: RunResults, outcome: Outcome) -> tuple[list[Measured], str]:
    """Return the accuracies to draw, zero-shot CLIP first, and a note on their source."""
    models, answers = measured_models(results.record), results.record.train.answers
    if outcome.case == "measured" and models.zero_shot is not None and models.used is not None:
        names = {"zero-shot": "zero-shot CLIP, kept"}
        now = names.get(results.record.judge.used, "now")
        rows = [("zero-shot CLIP", models.zero_shot), (now, models.used)]
        if results.record.judge.used == "zero-shot":
            rows = rows[1:]
        drawn = [
            (name, *_ends(evaluation.top1), rounded_share(evaluation.top1.value, evaluation.images))
            for name, evaluation in rows
        ]
        return drawn, f"From {count(models.used.images)} labelled photos."
    evidence = read_evidence(results.folder)
    if outcome.case == "answered" and evidence is not None:
        pairs = (
            ("zero-shot CLIP", evidence.estimate.zero_shot),
            ("now", evidence.estimate.adapted),
        )
        answered = count(evidence.estimate.series)
        drawn = [
            (name, *_ends(interval), f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %")
            for name, interval in pairs
        ]
        return drawn, f"From {answered} answers about random photos."
    if outcome.case == "taught" and answers is not None and answers.measured is not None:
        measured, images = answers.measured, answers.measured.answers
        low, high = (measured.zero_shot + end for end in (measured.gain.low, measured.gain.high))
        before = (measured.zero_shot,) * 3
        after = (measured.adapted, max(low, 0.0), min(high, 1.0))
        drawn = [
            ("zero-shot CLIP", *before, rounded_share(measured.zero_shot, images)),
            ("now", *after, rounded_share(measured.adapted, images)),
        ]
        note = f"From {count(images)} answers, left out in turn. The band is that of the gain."
        return drawn, note
    return [], ""


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _chart(rows: Sequence[Measured]) -> Markup:
    """Draw a dot with its interval for each accuracy, on an axis from 0 to 100 %."""
    height = 24 + 62 * len(rows)
    label = "; ".join(f"accuracy of {name}: {text}" for name, *_, text in rows)
    drawing, scale = _axis(height, label)
    for index, (name, value, low, high, text) in enumerate(rows):
        y = 44 + 62 * index
        kind = "now" if name != "zero-shot CLIP" else "before"
        drawing.line((scale(low), y), (scale(high), y), f"band {kind}")
        drawing.circle((scale(value), y), 7, f"point {kind}")
        drawing.text((min(max(scale(value), 30), 440), y - 15), text, f"big {kind}", "middle")
        is_right = value > 0.5
        place = scale(low) - 12 if is_right else scale(high) + 12
        drawing.text((place, y + 5), name, "name", "end" if is_right else "start")
    return drawing.markup()


def _empty_chart() -> Markup:
    """Draw the axis of accuracies with a band over all of it: nothing is known."""
    drawing, scale = _axis(86, "The accuracy is not known: it may be anything from 0 to 100 %")
    drawing.line((scale(0), 44), (scale(1), 44), "band unknown")
    drawing.text((scale(0.5), 26), "?", "big", "middle")
    return drawing.markup()


def _axis(height: int, label: str) -> tuple[Drawing, AxisScale]:
    drawing, scale = Drawing(480, height + 24, label, "proof"), AxisScale(0, 1, 10, 464)
    for share in (0, 0.25, 0.5, 0.75, 1):
        drawing.line((scale(share), 0), (scale(share), height), "grid")
        text = f"{100 * share:.0f}{' %' if share == 1 else ''}"
        drawing.text((scale(share), height + 18), text, "tick", "middle")
    return drawing, scale


def doubtful_command(results: RunResults, run: str) -> str:
    """Return the command that looks through photos of the class with most doubtful ones."""
    common = Counter(photo.labels[0] for photo in results.uncertain[:60]).most_common(1)
    names = [results.record.data.class_names[label] for label, _ in common]
    return shlex.join(["latte", "review", run, *(w for name in names for w in ("--class", name))])
