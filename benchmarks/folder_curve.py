"""Curve of a verdict: losses against missed gains at several thresholds of the probability.

The verdict's probability is fitted again for each family of sets, on the folders of the other
families. A family is a set with the subsets that are drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy
from numpy.typing import NDArray

from benchmarks.folder_rows import Row

SIGNALS = ("stability", "lead")
POINTS = (
    *((0.60, 0.60), (0.65, 0.65), (0.65, 0.75), (0.70, 0.70)),
    *((0.70, 0.80), (0.75, 0.75), (0.80, 0.80), (0.85, 0.85)),
)
"""Least probabilities of half strength and of full strength."""
_KEPT = 0.55
"""Folders for which the guard reports at most this probability keep zero-shot in every point."""
_STEPS = 20

Numbers = NDArray[numpy.float64]


def has_curve(rows: Sequence[Row], families: Mapping[str, str]) -> bool:
    """Return True if the rows have both signals, and come from at least two families."""
    known = all(row.half is not None and row.signals.keys() >= {*SIGNALS} for row in rows)
    return known and len({_family(row, families) for row in rows}) > 1


def left_out_probabilities(rows: Sequence[Row], families: Mapping[str, str]) -> Numbers:
    """Return each row's probability of a gain, fitted without the rows of its own family.

    The log odds are linear in the two signals. Rows that keep zero-shot get the guard's own value.
    """
    signals = numpy.array([[1.0, *(row.signals[name] for name in SIGNALS)] for row in rows])
    gained = numpy.array([(row.full or 0) > 0 for row in rows], dtype=float)
    family = numpy.array([_family(row, families) for row in rows])
    reported = numpy.array([row.probability or 0.0 for row in rows])
    found = reported.copy()
    judged = reported > _KEPT
    for one in numpy.unique(family):
        others, own = judged & (family != one), judged & (family == one)
        found[own] = _sigmoid(signals[own] @ _fitted(signals[others], gained[others]))
    return found


def at_point(
    rows: Sequence[Row], probabilities: Numbers, half_from: float, whole_from: float
) -> list[Row]:
    """Return the rows with the strengths, and the gains on own images, of other thresholds."""
    changed = []
    for row, probability in zip(rows, probabilities, strict=True):
        strength, own = 0.0, 0.0
        if row.probability is not None and row.probability > _KEPT:
            if probability >= whole_from:
                strength, own = 1.0, row.full or 0.0
            elif probability >= half_from:
                strength, own = 0.5, row.half or 0.0
        changed.append(replace(row, strength=strength, own=own))
    return changed


def _family(row: Row, families: Mapping[str, str]) -> str:
    return families.get(row.set, row.set)


def _fitted(signals: Numbers, gained: Numbers) -> Numbers:
    """Return the coefficients of a logistic regression (Newton's method, a weak ridge)."""
    found = numpy.zeros(signals.shape[1])
    ridge = 1e-3 * numpy.eye(len(found))
    for _ in range(_STEPS):
        expected = _sigmoid(signals @ found)
        curvature = signals.T * (expected * (1 - expected)) @ signals + ridge
        found += numpy.linalg.solve(curvature, signals.T @ (gained - expected) - ridge @ found)
    return found


def _sigmoid(odds: Numbers) -> Numbers:
    return numpy.asarray(1 / (1 + numpy.exp(-odds)), dtype=numpy.float64)
