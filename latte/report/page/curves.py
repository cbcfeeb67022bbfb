"""Draw training curves: charts of a run's recorded numbers over steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.io.redaction import one_line
from latte.report import charts
from latte.report.accuracy import measured_models
from latte.report.numbers import percent, plural

_EVENTS = ("epoch", "step")
"""Events whose rows have metrics; a metric of both events is drawn per epoch."""


Curve = tuple[str, str, Markup]
"""A chart with its title and a note: (title, note, chart)."""


@dataclass(frozen=True)
class MetricChart:
    """Title, note and tick format for the chart of one metric."""

    title: str
    note: str = ""
    tick: charts.TickFormat = charts.plain_tick

    def title_of(self, name: str) -> str:
        """Return the title of the metric `name`; for `LEARNER.loss`, it contains the learner."""
        learner = name.rpartition(".")[0]
        return f"{self.title}, {one_line(learner)}" if learner else self.title


MAIN = {
    "top1": MetricChart("Top-1 accuracy", "On the evaluation split.", charts.percent_tick),
    "loss": MetricChart("Loss"),
    "agreement": MetricChart(
        "Label agreement",
        "Training images whose zero-shot and current pseudo-labels are the same.",
        charts.percent_tick,
    ),
    "confidence": MetricChart("Confidence", "Mean probability of the top class."),
    "margin": MetricChart("Margin", "Mean similarity of the top class minus that of the second."),
}


def curves(results: RunResults) -> dict[str, list[Curve]]:
    """Return the charts of a run's metrics: `main`, and `others`, which help to debug training."""
    rows, zero_shot = results.metrics, measured_models(results.record).zero_shot
    reference = None
    if zero_shot is not None:
        accuracy = zero_shot.top1.value
        reference = charts.Reference(accuracy, f"zero-shot {percent(accuracy, zero_shot.images)}")
    main = [(MAIN[figure], *where) for figure in MAIN for where in recorded(rows, figure)]
    shown = {(event, name) for _, event, name in main}
    other_figures = [
        (MetricChart(name.rpartition(".")[2].replace("_", " ").capitalize()), event, name)
        for event in _EVENTS
        for name in charts.figures(rows, event)
        if (event, name) not in shown
    ]
    drawn = {"main": main, "others": other_figures}
    return {key: [*_drawn(rows, metrics, reference)] for key, metrics in drawn.items()}


def recorded(rows: Sequence[charts.MetricRow], figure: str) -> list[tuple[str, str]]:
    """Find pairs (event, name) of the metric `figure`.

    With several learners, the name is `LEARNER.figure`. Parameters of a loss (`loss.NAME` or
    `LEARNER.loss.NAME`) are left out, even if NAME is `figure`.
    """
    for event in _EVENTS:
        split_names = [(name, *name.rpartition(".")[::2]) for name in charts.figures(rows, event)]
        names = [
            name
            for name, learner, metric in split_names
            if metric == figure and learner.rpartition(".")[2] != "loss"
        ]
        if names:
            return [(event, name) for name in names]
    return []


def _drawn(
    rows: Sequence[charts.MetricRow],
    metrics: Iterable[tuple[MetricChart, str, str]],
    zero_shot: charts.Reference | None,
) -> Iterator[Curve]:
    for figure, event, name in metrics:
        series, title = charts.series(rows, event, name), figure.title_of(name)
        if not series.samples:
            continue
        reference = zero_shot if name == "top1" else None
        chart = charts.line_chart(
            series, _label(title, series, figure.tick), figure.tick, reference
        )
        size = series.steps_per_sample
        notes = [figure.note]
        notes.append(f"Mean and range of every {size} {event}s." if size > 1 else f"Every {event}.")
        if series.unusable:
            notes.append(f"Left out: {plural(series.unusable, 'infinite or undefined value')}.")
        yield title, " ".join(filter(None, notes)), chart


def _label(title: str, series: charts.MetricSeries, tick: charts.TickFormat) -> str:
    start, end = series.samples[0], series.samples[-1]
    finest = max(abs(end.value), abs(start.value), 1e-12) / 100
    values = f"from {tick(start.value, finest)} to {tick(end.value, finest)}"
    return f"{title} over steps {start.step:.0f} to {end.step:.0f}: {values}"
