"""What the page shows of a run's course: charts of its figures over steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.report.charts import Format, Reference, line_chart, percent_tick, plain_tick
from latte.report.headline import ZERO_SHOT, named
from latte.report.numbers import count, percent
from latte.report.series import Series, figures, learners, series


@dataclass(frozen=True)
class Curve:
    """One chart with its title and what there is to know about it."""

    title: str
    note: str
    chart: Markup


@dataclass(frozen=True)
class Curves:
    """All charts of a run; `others` are of interest to those who debug training."""

    main: tuple[Curve, ...]
    others: tuple[Curve, ...]


@dataclass(frozen=True)
class _Figure:
    event: str
    name: str
    title: str
    note: str
    tick: Format = plain_tick


_MAIN = (
    _Figure("epoch", "top1", "Top-1 accuracy", "Evaluation split, every epoch.", percent_tick),
    _Figure("step", "loss", "Loss", "Training batches."),
    _Figure(
        "epoch",
        "agreement",
        "Label agreement",
        "Training images whose frozen and current pseudo-labels are the same.",
        percent_tick,
    ),
    _Figure("epoch", "confidence", "Confidence", "Mean over the training images."),
    _Figure("epoch", "margin", "Margin", "Best class over second best, mean."),
)


def curves(results: RunResults) -> Curves:
    """The charts of a run's metrics; no rows, no charts."""
    known = {(figure.event, figure.name) for figure in _MAIN}
    others = [
        _Figure(event, name, name.replace("_", " ").capitalize(), f"Every {event}.")
        for event in ("epoch", "step")
        for name in figures(results.metrics, event)
        if (event, name) not in known
    ]
    return Curves(
        tuple(curve for figure in _MAIN for curve in _drawn(results, figure)),
        tuple(curve for figure in others for curve in _drawn(results, figure)),
    )


def latest(results: RunResults, figure: str) -> tuple[float, float] | None:
    """A label-free figure at the first and at the last epoch that has it."""
    found = series(results.metrics, "epoch", figure).samples
    return (found[0].value, found[-1].value) if found else None


def _drawn(results: RunResults, figure: _Figure) -> Iterator[Curve]:
    for learner in learners(results.metrics):
        found = series(results.metrics, figure.event, figure.name, learner)
        if found.samples:
            title = figure.title if learner is None else f"{figure.title}, {learner}"
            reference = _zero_shot_line(results) if figure.name == "top1" else None
            chart = line_chart(found, _label(title, found, figure.tick), figure.tick, reference)
            yield Curve(title, f"{figure.note} {_caveats(found)}".strip(), chart)


def _zero_shot_line(results: RunResults) -> Reference | None:
    before = named(results.evaluations, ZERO_SHOT)
    if before is None:
        return None
    return Reference(before.top1.value, f"zero-shot {percent(before.top1.value, before.images)}")


def _label(title: str, found: Series, tick: Callable[[float, float], str]) -> str:
    first, last = found.samples[0], found.samples[-1]
    finest = max(abs(last.value), abs(first.value), 1e-12) / 100
    values = f"from {tick(first.value, finest)} to {tick(last.value, finest)}"
    return f"{title} over steps {first.step:.0f} to {last.step:.0f}: {values}"


def _caveats(found: Series) -> str:
    texts = []
    if found.steps_a_sample > 1:
        texts.append(f"Line: mean of {found.steps_a_sample} rows; band: their range.")
    if found.unusable:
        texts.append(f"{count(found.unusable)} infinite or undefined values are left out.")
    return " ".join(texts)
