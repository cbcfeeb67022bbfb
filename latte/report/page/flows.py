"""Show changes from zero-shot to adapted labels as a table and as ribbons (bands)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural
from latte.report.svg import Drawing, shortened

LISTED = 14
"""Largest number of changes in the table and in the picture."""

_WIDTH, _COLUMN, _NODE = 660, 190, 8
"""Widths in pixels: picture, names on each side, and the bar of a class."""
_LINE = 19
"""Smallest height of a class in pixels, so that its name fits."""
_TALLEST = 260
"""Largest height in pixels of all ribbons together."""
_LONGEST_NAME = 22
_LABEL = "Pseudo-labels that changed, from zero-shot to adapted; the table has the same numbers"


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
    chart: Markup | None


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
        chart=flow_chart(rows, _LABEL) if rows else None,
    )


def flow_chart(flows: Sequence[Flow], label: str) -> Markup:
    """Draw one or more flows as ribbons; the largest class is at the top of the left column."""
    unit = min(12.0, _TALLEST / sum(flow.images for flow in flows))
    left = _totals([(flow.start, flow.images) for flow in flows])
    order = {name: place for place, name in enumerate(left)}
    right = _by_source(flows, order)
    tops = _tops(left, unit), _tops(right, unit)
    height = max(_height(left, unit), _height(right, unit))
    drawing = Drawing(_WIDTH, round(height) + 26, label, "chart flows")
    _draw_ribbons(drawing, flows, tops, order, [*right], unit)
    for side, (column, places) in enumerate(zip((left, right), tops, strict=True)):
        _draw_nodes(drawing, column, places, side, unit)
    drawing.text((_COLUMN, 12), "zero-shot label", "tick", "end")
    drawing.text((_WIDTH - _COLUMN, 12), "adapted label", "tick")
    return drawing.markup()


def _totals(parts: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the number of images by class name, largest first."""
    found: Counter[str] = Counter()
    for name, images in parts:
        found[name] += images
    return dict(found.most_common())


def _by_source(flows: Sequence[Flow], order: Mapping[str, int]) -> dict[str, int]:
    """Return the right column's totals, ordered so that few ribbons cross.

    Classes are sorted by the mean position of the classes that their images come from.
    """
    totals = _totals([(flow.end, flow.images) for flow in flows])
    places: Counter[str] = Counter()
    for flow in flows:
        places[flow.end] += order[flow.start] * flow.images
    return dict(sorted(totals.items(), key=lambda item: places[item[0]] / item[1]))


def _tops(column: Mapping[str, int], unit: float) -> dict[str, float]:
    tops, top = {}, 24.0
    for name, images in column.items():
        tops[name] = top
        top += max(images * unit + 5, _LINE)
    return tops


def _height(column: Mapping[str, int], unit: float) -> float:
    return sum(max(images * unit + 5, _LINE) for images in column.values())


def _draw_ribbons(
    drawing: Drawing,
    flows: Sequence[Flow],
    tops: tuple[Mapping[str, float], Mapping[str, float]],
    left: Mapping[str, int],
    right: Sequence[str],
    unit: float,
) -> None:
    """Draw the ribbons; those of one class are ordered like the classes at their other ends."""
    starts, ends = dict(tops[0]), dict(tops[1])
    below = {name: place for place, name in enumerate(right)}
    leaving = sorted(flows, key=lambda flow: (left[flow.start], below[flow.end]))
    start_of = {}
    for flow in leaving:
        start_of[flow] = starts[flow.start]
        starts[flow.start] += flow.images * unit
    for flow in sorted(flows, key=lambda flow: (below[flow.end], left[flow.start])):
        drawing.ribbon(
            (_COLUMN + _NODE, start_of[flow]),
            (_WIDTH - _COLUMN - _NODE, ends[flow.end]),
            flow.images * unit,
            "ribbon",
            f"{flow.start} → {flow.end}: {plural(flow.images, 'image')}",
        )
        ends[flow.end] += flow.images * unit


def _draw_nodes(
    drawing: Drawing, column: Mapping[str, int], tops: Mapping[str, float], side: int, unit: float
) -> None:
    x = _WIDTH - _COLUMN - _NODE if side else _COLUMN
    edge, anchor = (_WIDTH - _COLUMN + 6, "start") if side else (_COLUMN - 6, "end")
    for name, images in column.items():
        drawing.bar((x, tops[name]), _NODE, images * unit, "adapted" if side else "zero-shot")
        middle = tops[name] + images * unit / 2 + 4
        text = f"{shortened(name, _LONGEST_NAME)} {images}"
        drawing.text((edge, max(middle, tops[name] + 9)), text, "label", anchor)
