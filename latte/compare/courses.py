"""How training went: each figure of several runs in one chart, a line for each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from latte.adapt.metrics import read_metrics
from latte.compare.rows import Row
from latte.interfaces import LatteError
from latte.report.charts import Format, Reference, lines_chart, percent_tick, plain_tick
from latte.report.curves import recorded
from latte.report.plain import one_line, printable
from latte.report.series import Row as MetricsRow
from latte.report.series import Series, series

COLOURS = 6
"""So many rows have a colour of their own; of more, the best."""

_FIGURES: dict[str, tuple[str, Format]] = {
    "top1": ("Top-1 accuracy", percent_tick),
    "loss": ("Loss", plain_tick),
    "agreement": ("Label agreement", percent_tick),
}


@dataclass(frozen=True)
class Courses:
    """The charts of one dataset's runs."""

    legend: tuple[tuple[str, str], ...]
    """Style class and name of each row."""
    charts: tuple[tuple[str, Markup], ...]
    """Title and picture."""
    left_out: int
    """Rows that have no line."""


def courses(rows: Sequence[Row]) -> Courses | None:
    """None where no run recorded a step."""
    shown = _shown(rows)
    lines = [
        (f"line-{number}", read)
        for number, row in enumerate(shown, start=1)
        for read in (_metrics(run.folder / "metrics.jsonl") for run in row.runs)
    ]
    charts = [chart for figure in _FIGURES for chart in _charts(figure, lines, shown)]
    if not charts:
        return None
    legend = [(f"line-{number}", one_line(row.name)) for number, row in enumerate(shown, start=1)]
    return Courses(tuple(legend), tuple(charts), len(rows) - len(shown))


def _shown(rows: Sequence[Row]) -> list[Row]:
    """The best, in the order of the table."""
    ranked = sorted(rows, key=lambda row: -(row.adapted.top1.mean if row.adapted else 0.0))
    best = ranked[:COLOURS]
    return [row for row in rows if row in best]


def _metrics(path: Path) -> list[MetricsRow]:
    try:
        return [*read_metrics(path)]
    except (LatteError, OSError):
        return []


def _charts(
    figure: str, lines: Sequence[tuple[str, list[MetricsRow]]], rows: Sequence[Row]
) -> list[tuple[str, Markup]]:
    """One, or one for each learner's name."""
    title, tick = _FIGURES[figure]
    found: dict[str, list[tuple[str, Series]]] = {}
    for css_class, metrics in lines:
        for event, name in recorded(metrics, figure):
            values = series(metrics, event, name)
            if values.samples:
                found.setdefault(name, []).append((css_class, values))
    reference = _zero_shot(rows) if figure == "top1" else None
    return [
        (
            _title(title, name),
            lines_chart(own, f"{printable(_title(title, name))} over steps", tick, reference),
        )
        for name, own in found.items()
    ]


def _title(title: str, name: str) -> str:
    learner = name.rpartition(".")[0]
    return f"{title}, {one_line(learner)}" if learner else title


def _zero_shot(rows: Sequence[Row]) -> Reference | None:
    """Runs on the same images share it, unless they begin at different CLIPs."""
    found = {row.zero_shot.mean for row in rows if row.zero_shot}
    return Reference(found.pop(), "zero-shot") if len(found) == 1 else None
