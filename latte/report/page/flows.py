"""Flows between two columns of classes, drawn as ribbons whose widths are numbers of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural
from latte.report.svg import Drawing, shortened

_WIDTH, _COLUMN, _NODE = 660, 190, 8
"""Of the picture, of the names at either side, and of the bars that stand for classes."""
_LINE = 19
"""A class needs so much height for its name."""
_TALLEST = 260
"""All ribbons on top of each other."""
_LONGEST = 22


@dataclass(frozen=True)
class Flow:
    """So many images went from one class to another, named as they are shown."""

    start: str
    end: str
    images: int


def flow_chart(flows: Sequence[Flow], label: str) -> Markup:
    """At least one flow; the largest class of the left column stands first."""
    unit = min(12.0, _TALLEST / sum(flow.images for flow in flows))
    left = _totals([(flow.start, flow.images) for flow in flows])
    order = {name: place for place, name in enumerate(left)}
    right = _near_their_sources(flows, order)
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
    """By name, largest first."""
    found: Counter[str] = Counter()
    for name, images in parts:
        found[name] += images
    return dict(found.most_common())


def _near_their_sources(flows: Sequence[Flow], order: Mapping[str, int]) -> dict[str, int]:
    """The right column, ordered so that few ribbons cross: by the mean place of what comes in."""
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
    """Ribbons leave a class in the order of where they go, and arrive in that of their origins."""
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
        text = f"{shortened(name, _LONGEST)} {images}"
        drawing.text((edge, max(middle, tops[name] + 9)), text, "label", anchor)


# Which training images changed their pseudo-label from zero-shot to adapted: needs no labels.


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
