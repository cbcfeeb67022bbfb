"""Sections of the comparison page: accuracy per class of two methods, and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def differences(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return the accuracy per class of zero-shot CLIP and of each method, to compare any two.

    At first, the page compares the two best methods, or a single method with zero-shot CLIP. The
    result is None without labelled images, or if rows differ in the number of images per class.
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
    # Index 0 is zero-shot CLIP.
    second, first = [1 + index for index in _ranked(known)[:2]] if len(known) > 1 else [1, 0]
    names = _names(known[0].runs[0], len(counts))
    return {
        "data": {
            "names": names,
            "images": counts,
            "choices": [[one and round(one, 6) for one in values] for _, values in scores],
        },
        "choices": [name for name, _ in scores],
        "first": first,
        "second": second,
        "lines": _lines(names, counts, scores[first][1], scores[second][1]),
    }


def _mean(runs: Sequence[Run], classifier: str) -> list[float | None]:
    """Return each class's mean accuracy over seeds; None for a class without images."""
    columns = zip(*(run.classes[classifier] for run in runs), strict=True)
    return [
        sum(one.correct for one in column) / total
        if (total := sum(one.images for one in column))
        else None
        for column in columns
    ]


def _ranked(rows: Sequence[Row]) -> list[int]:
    scores = [row.adapted.top1.mean if row.adapted else 0.0 for row in rows]
    return sorted(range(len(rows)), key=lambda index: -scores[index])


def _names(run: Run, classes: int) -> list[str]:
    """Return the class names of `run`, or "class 0", "class 1", ... if they are unreadable."""
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
) -> list[ClassRow]:
    rows = [
        class_row(name, number, was, now)
        for name, number, was, now in zip(names, images, before, after, strict=True)
        if was is not None and now is not None
    ]
    return sorted(rows, key=lambda row: -row.change)


def training_curves(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return a chart per metric, with a curve per run of the best rows; None without metrics."""
    best = sorted(_ranked(rows)[:COLOURS])
    shown = {f"line-{at}": rows[index] for at, index in enumerate(best, 1)}
    lines = [(css, _metrics(run)) for css, row in shown.items() for run in row.runs]
    charts, drawn = [], set[str]()
    for figure in _FIGURES:
        reference = None
        found = {row.zero_shot.mean for row in shown.values() if row.zero_shot}
        if figure == "top1" and len(found) == 1:
            reference = Reference(found.pop(), "zero-shot")
        for name, curves in _curves(figure, lines).items():
            title = MAIN[figure].title_of(name)
            label = f"{title} over steps"
            charts.append((title, lines_chart(curves, label, MAIN[figure].tick, reference)))
            drawn |= {css for css, _ in curves}
    if not charts:
        return None
    legend = [(css, one_line(row.name)) for css, row in shown.items() if css in drawn]
    return {"legend": legend, "charts": charts, "left_out": len(rows) - len(shown)}


def _metrics(run: Run) -> list[MetricsRow]:
    """Return the rows of the run's `metrics.jsonl`; empty if the file cannot be read."""
    try:
        return [*run.files.metrics]
    except (LatteError, OSError):
        return []


def _curves(
    figure: str, lines: Sequence[tuple[str, list[MetricsRow]]]
) -> dict[str, list[tuple[str, Series]]]:
    """Return the curves of the metric `figure`, as pairs (CSS class, curve).

    The keys are the metric's names in `metrics.jsonl`: `loss`, or `LEARNER.loss` if there are
    several learners.
    """
    found: dict[str, list[tuple[str, Series]]] = {}
    for css_class, metrics in lines:
        for event, name in recorded(metrics, figure):
            values = series(metrics, event, name)
            if values.samples:
                found.setdefault(name, []).append((css_class, values))
    return found
