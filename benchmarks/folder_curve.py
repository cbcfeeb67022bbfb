"""Curve of a verdict: losses against missed gains at several thresholds of the guard's score.

The score is fitted again for each family of sets, on the folders of the other families. A family is
a set with the subsets that are drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy
from latte_transductive.guard import MIN_MARGIN
from numpy.typing import NDArray

from benchmarks.folder_rows import Row

SIGNALS = ("stability", "lead")
_JUDGED = {"score", *SIGNALS, "agreement", "agreement of zero-shot"}
POINTS = (
    *((0.60, 0.60), (0.65, 0.65), (0.65, 0.75), (0.70, 0.70)),
    *((0.70, 0.80), (0.75, 0.75), (0.80, 0.80), (0.85, 0.85)),
)
"""Least scores of half strength and of full strength."""
_KEPT = 0.55
"""Folders with at most this score keep zero-shot in every point."""
_STEPS = 20

Numbers = NDArray[numpy.float64]


def has_curve(rows: Sequence[Row], families: Mapping[str, str]) -> bool:
    """Return True if the rows have the guard's signals, and come from at least two families."""
    known = all(row.half is not None and row.signals.keys() >= _JUDGED for row in rows)
    return known and len({_family(row, families) for row in rows}) > 1


def left_out_scores(rows: Sequence[Row], families: Mapping[str, str]) -> Numbers:
    """Return each row's score, fitted without the rows of its own family.

    The log odds of a gain are linear in the two signals. Rows that keep zero-shot in every point
    get the guard's own score.
    """
    signals = numpy.array([[1.0, *(row.signals[name] for name in SIGNALS)] for row in rows])
    gained = numpy.array([(row.full or 0) > 0 for row in rows], dtype=float)
    family = numpy.array([_family(row, families) for row in rows])
    found = numpy.array([row.signals["score"] for row in rows])
    judged = numpy.array([not _is_kept(row) for row in rows])
    for one in numpy.unique(family):
        others, own = judged & (family != one), judged & (family == one)
        found[own] = _sigmoid(signals[own] @ _fitted(signals[others], gained[others]))
    return found


def at_point(
    rows: Sequence[Row], scores: Numbers, half_from: float, whole_from: float
) -> list[Row]:
    """Return the rows with the strengths, and the gains on own images, of other thresholds."""
    changed = []
    for row, score in zip(rows, scores, strict=True):
        strength, own = 0.0, 0.0
        if not _is_kept(row):
            if score >= whole_from:
                strength, own = 1.0, row.full or 0.0
            elif score >= half_from:
                strength, own = 0.5, row.half or 0.0
        changed.append(replace(row, strength=strength, own=own))
    return changed


def _is_kept(row: Row) -> bool:
    """Return True if the row keeps zero-shot in every point: its score or other signals are low."""
    signals = row.signals
    is_refused = (
        signals["lead"] < MIN_MARGIN or signals["agreement"] <= signals["agreement of zero-shot"]
    )
    return is_refused or signals["score"] <= _KEPT


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
