"""Accuracy of each class, before and after adapting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.report.accuracy import measured_models
from latte.report.charts import change_bar
from latte.report.numbers import bare_percent, points

LISTED = 8
MOST_CLASSES = 1_000
"""Largest number of classes in the full table; ten thousand rows would take ten megabytes."""


@dataclass(frozen=True)
class ClassRow:
    """Accuracy on one class, before and after adapting; None for a class without an image."""

    name: str
    images: int
    change: float
    """Adapted minus zero-shot accuracy, as a fraction."""
    zero_shot: str | None = None
    adapted: str | None = None
    points: str | None = None
    bar: Markup | None = None


def class_changes(results: RunResults) -> dict[str, Any] | None:
    """Return the change of accuracy of each class; None if nothing was evaluated.

    The classes with the largest gain come first.
    """
    models = measured_models(results.record)
    zero_shot, adapted = models.zero_shot, models.used
    if zero_shot is None or adapted is None:
        return None
    rows = [
        class_row(name, new.images, old.correct / new.images, new.correct / new.images)
        if new.images
        else ClassRow(name, 0, 0.0)
        for name, old, new in zip(
            results.record.data.class_names, zero_shot.classes, adapted.classes, strict=True
        )
    ]
    rows.sort(key=lambda row: (row.images == 0, -row.change))
    better = [row for row in rows if row.change > 0]
    worse = [row for row in rows if row.change < 0]
    return {
        "rows": rows,
        "improved": better[:LISTED],
        "worsened": worse[::-1][:LISTED],
        "better": len(better),
        "worse": len(worse),
        "absent": sum(row.images == 0 for row in rows),
    }


def class_row(name: str, images: int, zero_shot: float, adapted: float) -> ClassRow:
    """Return a class's row; `zero_shot` and `adapted` are its accuracies on `images` images."""
    return ClassRow(
        name,
        images,
        adapted - zero_shot,
        bare_percent(zero_shot, images),
        bare_percent(adapted, images),
        points(adapted - zero_shot, images),
        change_bar(zero_shot, adapted),
    )
