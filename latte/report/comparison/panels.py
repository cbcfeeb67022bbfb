"""Sections of the comparison page: accuracy per class of two methods, and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from latte.interfaces import LatteError
from latte.io.redaction import one_line
from latte.report.charts import Reference, Series, lines_chart, series
from latte.report.charts import Row as MetricsRow
from latte.report.comparison.rows import Row
from latte.report.page.classes import ClassRow, class_row
from latte.report.page.curves import MAIN, recorded
from latte.results.summary import Run

COLOURS = 6
"""Number of line colours; if there are more rows, only the best rows are drawn."""

_FIGURES = ("top1", "loss", "agreement")


@dataclass(frozen=True)
class Differences:
    """Accuracy per class of each classifier, and the two classifiers that the page shows first."""

    data: dict[str, Any]
    """Data for the page's script: class names, images per class, and accuracies per classifier."""
    choices: tuple[str, ...]
    first: int
    second: int
    lines: tuple[ClassRow, ...]
    """A row per class; the class on which the second classifier is furthest ahead comes first."""


@dataclass(frozen=True)
class TrainingCurves:
    """Charts of the runs on one dataset: one chart per metric, with one line per row."""

    legend: tuple[tuple[str, str], ...]
    """Style class and name of each row that is drawn."""
    charts: tuple[tuple[str, Markup], ...]
    """Title and picture of each chart."""
    left_out: int
    """Number of rows that are not drawn."""


def differences(rows: Sequence[Row]) -> Differences | None:
    """Return the accuracies per class.

    The result is None if there are no labelled images, or if rows differ in the number of images
    per class.
    """
    known = [row for row in rows if row.runs and all(run.classes for run in row.runs)]
    images = {
        tuple(one.images for one in run.classes["adapted"]) for row in known for run in row.runs
    }
    if not known or len(images) != 1:
        return None
    counts = images.pop()
    scores = [("zero-shot", _mean(known[0].runs, "zero-shot"))]
    scores += [(one_line(row.name), _mean(row.runs, "adapted")) for row in known]
    first, second = _default(known)
    names = _names(known[0].runs[0], len(counts))
    return Differences(
        data={
            "names": names,
            "images": counts,
            "choices": [[one and round(one, 6) for one in values] for _, values in scores],
        },
        choices=tuple(name for name, _ in scores),
        first=first,
        second=second,
        lines=_lines(names, counts, scores[first][1], scores[second][1]),
    )


def _mean(runs: Sequence[Run], classifier: str) -> list[float | None]:
    """Return each class's mean accuracy over seeds; None for a class without images."""
    columns = zip(*(run.classes[classifier] for run in runs), strict=True)
    return [
        sum(one.correct for one in column) / total
        if (total := sum(one.images for one in column))
        else None
        for column in columns
    ]


def _default(rows: Sequence[Row]) -> tuple[int, int]:
    """Return the indices of the two classifiers that the page compares first, the better one last.

    The two are the best two methods; with a single method, zero-shot (index 0) and this method.
    """
    scores = [row.adapted.top1.mean if row.adapted else 0.0 for row in rows]
    ranked = sorted(range(len(rows)), key=lambda index: -scores[index])
    return (ranked[1] + 1, ranked[0] + 1) if len(rows) > 1 else (0, 1)


def _names(run: Run, classes: int) -> list[str]:
    """Return the class names of `run`, or "class 0", "class 1", ... if they are missing.

    The names are in the prototypes file. They count as missing if this file cannot be read, or if
    it does not have `classes` names.
    """
    try:
        names = run.files.class_names
    except LatteError:
        names = ()
    if len(names) != classes:
        return [f"class {label}" for label in range(classes)]
    return [one_line(name) for name in names]


def _lines(
    names: Sequence[str],
    images: Sequence[int],
    before: Sequence[float | None],
    after: Sequence[float | None],
) -> tuple[ClassRow, ...]:
    rows = [
        class_row(name, number, was, now)
        for name, number, was, now in zip(names, images, before, after, strict=True)
        if was is not None and now is not None
    ]
    return tuple(sorted(rows, key=lambda row: -row.change))


def training_curves(rows: Sequence[Row]) -> TrainingCurves | None:
    """Return the training curves of the best rows; None if no run recorded metrics."""
    ranked = sorted(rows, key=lambda row: -(row.adapted.top1.mean if row.adapted else 0.0))
    best = ranked[:COLOURS]
    shown = {f"line-{at}": row for at, row in enumerate((row for row in rows if row in best), 1)}
    lines = [(css, _metrics(run)) for css, row in shown.items() for run in row.runs]
    charts, drawn = [], set[str]()
    for figure in _FIGURES:
        reference = _zero_shot([*shown.values()]) if figure == "top1" else None
        for name, curves in _curves(figure, lines).items():
            title = MAIN[figure].title_of(name)
            label = f"{title} over steps"
            charts.append((title, lines_chart(curves, label, MAIN[figure].tick, reference)))
            drawn |= {css for css, _ in curves}
    if not charts:
        return None
    legend = tuple((css, one_line(row.name)) for css, row in shown.items() if css in drawn)
    return TrainingCurves(legend, tuple(charts), len(rows) - len(shown))


def _metrics(run: Run) -> list[MetricsRow]:
    """Return the rows of a run's metrics; empty if they cannot be read."""
    try:
        return [*run.files.metrics]
    except (LatteError, OSError):
        return []


def _curves(
    figure: str, lines: Sequence[tuple[str, list[MetricsRow]]]
) -> dict[str, list[tuple[str, Series]]]:
    """Return the curves of the metric `figure`, as pairs (CSS class, curve), by recorded name.

    The recorded name is `loss`, for example, or `LEARNER.loss` if each learner records a loss.
    """
    found: dict[str, list[tuple[str, Series]]] = {}
    for css_class, metrics in lines:
        for event, name in recorded(metrics, figure):
            values = series(metrics, event, name)
            if values.samples:
                found.setdefault(name, []).append((css_class, values))
    return found


def _zero_shot(rows: Sequence[Row]) -> Reference | None:
    """Return a line at the zero-shot accuracy; None if the rows have different accuracies."""
    found = {row.zero_shot.mean for row in rows if row.zero_shot}
    return Reference(found.pop(), "zero-shot") if len(found) == 1 else None
