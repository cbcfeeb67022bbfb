"""Show changes from zero-shot to adapted labels as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from latte.interfaces import RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural

LISTED = 14
"""Largest number of changes in the table."""


@dataclass(frozen=True)
class Flow:
    """The training images whose label changed from the class `start` to the class `end`."""

    start: str
    end: str
    images: int
    share: str
    """Share of all images with the zero-shot label `start`."""


@dataclass(frozen=True)
class Flows:
    """Changed pseudo-labels of a run."""

    sentence: str
    rows: tuple[Flow, ...]
    """The largest changes."""
    pairs: int
    """Number of distinct pairs of a zero-shot label and a different adapted label."""
    covered: str
    """Share of all changed images that are in `rows`."""


def flows(results: RunResults) -> Flows | None:
    """Return the changed pseudo-labels of a run; None if `results.label_flows` is empty."""
    recorded = results.label_flows
    if not recorded:
        return None
    names = [one_line(name) for name in results.class_names]
    total = sum(one.images for one in recorded)
    started: Counter[int] = Counter()
    for one in recorded:
        started[one.frozen] += one.images
    changed = [one for one in recorded if one.frozen != one.adapted]
    moved = sum(one.images for one in changed)
    rows = tuple(
        Flow(
            names[one.frozen],
            names[one.adapted],
            one.images,
            percent(one.images / started[one.frozen], started[one.frozen]),
        )
        for one in changed[:LISTED]
    )
    shown = sum(row.images for row in rows)
    return Flows(
        sentence=(
            f"The adapted model gives {count(moved)} of {plural(total, 'training image')} "
            f"({percent(moved / total, total)}) another label than the zero-shot CLIP did."
        ),
        rows=rows,
        pairs=len(changed),
        covered=percent(shown / moved, moved) if moved else "",
    )
