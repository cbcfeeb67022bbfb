"""A map of classes: where each was, where it is now, and names where there is room for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latte.report.svg import Drawing, Point, Scale, shortened, text_width

_WIDTH, _HEIGHT, _ROOM = 680, 480, 26
_LONGEST = 22
_MANY = 150
"""So many classes are drawn with smaller dots."""


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class MapPoint:
    """One class's way from one place to another, or to several."""

    name: str
    before: Point
    after: tuple[Point, ...]
    tip: str


def point_map(points: Sequence[MapPoint], label: str) -> Markup:
    """Distances are to the same scale on both axes. Names are given to the first points first.

    Names that might overlap others are left out.
    """
    drawing = Drawing(_WIDTH, _HEIGHT, label, "chart map")
    drawing.bar((0.5, 0.5), _WIDTH - 1, _HEIGHT - 1, "frame")
    x, y = _scales(points)
    radius = 3.0 if len(points) > _MANY else 4.5
    places = [(_at(one.before, x, y), [_at(end, x, y) for end in one.after]) for one in points]
    for before, after in places:
        for end in after:
            drawing.line(before, end, "move")
    for one, (before, after) in zip(points, places, strict=True):
        drawing.circle(before, radius - 1, "dot zero-shot", one.tip)
        for end in after:
            drawing.circle(end, radius, "dot adapted", one.tip)
    dots = [dot for before, after in places for dot in (before, *after)]
    names = [(one.name, after[0]) for one, (_, after) in zip(points, places, strict=True)]
    _write_names(drawing, names, dots, radius)
    return drawing.markup()


def _scales(points: Sequence[MapPoint]) -> tuple[Scale, Scale]:
    known = [end for one in points for end in (one.before, *one.after)]
    lows = [min(point[axis] for point in known) for axis in (0, 1)]
    highs = [max(point[axis] for point in known) for axis in (0, 1)]
    sizes = (_WIDTH - 2 * _ROOM, _HEIGHT - 2 * _ROOM)
    unit = max((high - low) / size for low, high, size in zip(lows, highs, sizes, strict=True))
    reach = [max(unit, 1e-12) * size / 2 for size in sizes]
    middles = [(low + high) / 2 for low, high in zip(lows, highs, strict=True)]
    return (
        Scale(middles[0] - reach[0], middles[0] + reach[0], _ROOM, _WIDTH - _ROOM),
        Scale(middles[1] - reach[1], middles[1] + reach[1], _HEIGHT - _ROOM, _ROOM),
    )


def _at(point: Point, x: Scale, y: Scale) -> Point:
    return x(point[0]), y(point[1])


def _write_names(
    drawing: Drawing, names: Sequence[tuple[str, Point]], dots: Sequence[Point], radius: float
) -> None:
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y in dots]
    for name, place in names:
        text = shortened(name, _LONGEST)
        free = (
            box
            for box in _boxes(place, text_width(text))
            if _inside(box) and not any(_overlap(box, other) for other in taken)
        )
        box = next(free, None)
        if box is not None:
            taken.append(box)
            drawing.text((box[0], box[1] + 11), text, "label")


def _boxes(place: Point, width: float) -> tuple[Box, ...]:
    """Where a name of this width may stand: right, left, above or below its dot."""
    x, y = place
    middle = x - width / 2
    corners = ((x + 8, y - 7), (x - 8 - width, y - 7), (middle, y - 21), (middle, y + 7))
    return tuple((left, top, left + width, top + 14) for left, top in corners)


def _inside(box: Box) -> bool:
    left, top, right, bottom = box
    return left > 2 and top > 2 and right < _WIDTH - 2 and bottom < _HEIGHT - 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
