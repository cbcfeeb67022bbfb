"""Which training images changed their pseudo-label from zero-shot to adapted: needs no labels."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.report.flow_chart import Flow, flow_chart
from latte.report.numbers import count, percent, plural
from latte.report.plain import one_line

LISTED = 14
"""Flows in the table and in the picture."""


@dataclass(frozen=True)
class FlowRow:
    """Images of one class that the adapted model gives to another."""

    start: str
    end: str
    images: int
    share: str
    """Of all images with that frozen label."""


@dataclass(frozen=True)
class Flows:
    """The changes of a run."""

    sentence: str
    rows: tuple[FlowRow, ...]
    """The largest."""
    pairs: int
    """How many different changes there are."""
    covered: str
    """Share of all changed images that `rows` have."""
    chart: Markup | None


def flows(results: RunResults) -> Flows | None:
    """None where the run recorded no pairs of labels."""
    recorded = results.label_flows
    if not recorded:
        return None
    names = [one_line(name) for name in results.class_names]
    total = sum(one.images for one in recorded)
    started: dict[int, int] = {}
    for one in recorded:
        started[one.frozen] = started.get(one.frozen, 0) + one.images
    changed = [one for one in recorded if one.frozen != one.adapted]
    moved = sum(one.images for one in changed)
    rows = tuple(
        FlowRow(
            names[one.frozen],
            names[one.adapted],
            one.images,
            percent(one.images / started[one.frozen], started[one.frozen]),
        )
        for one in changed[:LISTED]
    )
    shown = sum(row.images for row in rows)
    return Flows(
        sentence=_sentence(total, moved),
        rows=rows,
        pairs=len(changed),
        covered=percent(shown / moved, moved) if moved else "",
        chart=_chart(rows) if rows else None,
    )


def _sentence(total: int, moved: int) -> str:
    share = percent(moved / total, total)
    return (
        f"The adapted model gives {count(moved)} of {plural(total, 'training image')} ({share}) "
        "another label than the zero-shot CLIP did."
    )


def _chart(rows: tuple[FlowRow, ...]) -> Markup:
    label = "Pseudo-labels that changed, from zero-shot to adapted; the table has the same numbers"
    return flow_chart([Flow(row.start, row.end, row.images) for row in rows], label)
