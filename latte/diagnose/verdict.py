"""The verdict of a run's guard, as measures: a guard sees the adapted classifier, and no label."""

from __future__ import annotations

import math

from latte.diagnose.measure import Measure, Measurement, Section, make_section
from latte.interfaces import Verdict
from latte.report.plain import one_line
from latte.report.verdict import NO_GUARD, verdict_label

PROBABILITY = Measure(
    "probability", "probability", "share", "that adapting helps on images like these"
)
STRENGTH = Measure(
    "strength",
    "strength",
    "share",
    "how much of the adapted classifier the run took; 0: it kept zero-shot",
)


def verdict_section(verdict: Verdict) -> Section:
    """Probability, strength, and the signals that they were read from."""
    probability = math.nan if verdict.probability is None else verdict.probability
    signals = [
        Measurement(Measure(f"signal.{name}", name, "index", "a signal of the guard"), value)
        for name, value in verdict.signals.items()
    ]
    measured = [Measurement(PROBABILITY, probability), Measurement(STRENGTH, verdict.strength)]
    return make_section("verdict of the guard", "verdict", [*measured, *signals])


def verdict_line(verdict: Verdict | None) -> str:
    """The outcome and its reason, in one line."""
    if verdict is None:
        return NO_GUARD
    return f"Verdict: {verdict_label(verdict)}: {one_line(verdict.reason)}."
