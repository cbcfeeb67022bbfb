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
class Figure:
    """Title, note and tick format for the chart of one metric."""

    title: str
    note: str = ""
    tick: charts.Format = charts.plain_tick

    def title_of(self, name: str) -> str:
        """Return the title of the metric `name`; for `LEARNER.loss`, it contains the learner."""
        learner = name.rpartition(".")[0]
        return f"{self.title}, {one_line(learner)}" if learner else self.title


MAIN = {
    "top1": Figure("Top-1 accuracy", "On the evaluation split.", charts.percent_tick),
    "loss": Figure("Loss"),
    "agreement": Figure(
        "Label agreement",
        "Training images whose zero-shot and current pseudo-labels are the same.",
        charts.percent_tick,
    ),
    "confidence": Figure("Confidence", "Mean probability of the top class."),
    "margin": Figure("Margin", "Mean similarity of the top class minus that of the second."),
}


def curves(results: RunResults) -> dict[str, list[Curve]]:
    """Return the charts of a run's metrics: `main`, and `others`, which help to debug training."""
    rows, before = results.metrics, measured_models(results.record).zero_shot
    reference = None
    if before is not None:
        accuracy = before.top1.value
        reference = charts.Reference(accuracy, f"zero-shot {percent(accuracy, before.images)}")
    main = [(MAIN[figure], *where) for figure in MAIN for where in recorded(rows, figure)]
    shown = {(event, name) for _, event, name in main}
    others = [
        (Figure(name.rpartition(".")[2].replace("_", " ").capitalize()), event, name)
        for event in _EVENTS
        for name in charts.figures(rows, event)
        if (event, name) not in shown
    ]
    drawn = {"main": main, "others": others}
    return {key: [*_drawn(rows, wanted, reference)] for key, wanted in drawn.items()}


def recorded(rows: Sequence[charts.Row], figure: str) -> list[tuple[str, str]]:
    """Find pairs (event, name) of the metric `figure`.

    With several learners, the name is `LEARNER.figure`. Parameters of a loss (`loss.NAME` or
    `LEARNER.loss.NAME`) are left out, even if NAME is `figure`.
    """
    for event in _EVENTS:
        parts = [(name, *name.rpartition(".")[::2]) for name in charts.figures(rows, event)]
        names = [
            name
            for name, start, last in parts
            if last == figure and start.rpartition(".")[2] != "loss"
        ]
        if names:
            return [(event, name) for name in names]
    return []


def _drawn(
    rows: Sequence[charts.Row],
    wanted: Iterable[tuple[Figure, str, str]],
    zero_shot: charts.Reference | None,
) -> Iterator[Curve]:
    for figure, event, name in wanted:
        found, title = charts.series(rows, event, name), figure.title_of(name)
        if not found.samples:
            continue
        reference = zero_shot if name == "top1" else None
        chart = charts.line_chart(found, _label(title, found, figure.tick), figure.tick, reference)
        size = found.steps_per_sample
        notes = [figure.note]
        notes.append(f"Mean and range of every {size} {event}s." if size > 1 else f"Every {event}.")
        if found.unusable:
            notes.append(f"Left out: {plural(found.unusable, 'infinite or undefined value')}.")
        yield title, " ".join(filter(None, notes)), chart


def _label(title: str, found: charts.Series, tick: charts.Format) -> str:
    first, last = found.samples[0], found.samples[-1]
    finest = max(abs(last.value), abs(first.value), 1e-12) / 100
    values = f"from {tick(first.value, finest)} to {tick(last.value, finest)}"
    return f"{title} over steps {first.step:.0f} to {last.step:.0f}: {values}"
