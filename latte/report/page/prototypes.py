"""Show how class prototypes moved: a map of all classes, and a list of those that moved most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor

from latte.interfaces import LearnerPrototypes, RunResults
from latte.io.redaction import one_line
from latte.report.numbers import NARROW_SPACE
from latte.report.page.classes import LISTED
from latte.report.svg import Drawing, Point, Scale, shortened, text_width

_WIDTH, _HEIGHT, _MARGIN = 680, 480, 26
_LONGEST_NAME = 22
_MANY = 150
"""Number of classes above which dots are smaller."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a box, in pixels."""


@dataclass(frozen=True)
class MovedClass:
    """Movement of one class's prototypes; `moved`, `before` and `after` are cosines."""

    name: str
    moved: str
    """Cosine of class text and adapted prototype; the mean if the class has several prototypes."""
    nearest: str
    """The other class whose adapted prototype is nearest to one of this class."""
    before: str
    after: str
    """Largest cosine between adapted prototypes of this class and of the class `nearest`.

    `before` is the cosine between the two class texts."""


@dataclass(frozen=True)
class PrototypeMap:
    """Map of one learner's prototypes."""

    learner: str | None
    """Name of the learner; None if there is only one learner."""
    chart: Markup
    shares: str
    """Text with the shares of the variance that the two axes show."""
    moved: tuple[MovedClass, ...]
    """The classes that moved most, farthest first."""
    still: bool
    """True if no prototype moved."""


@dataclass(frozen=True)
class Projection:
    """Points projected onto their first two principal components."""

    points: Tensor
    """(n, 2) float64, with mean zero."""
    shares: tuple[float, float]
    """Share of the points' variance that each axis shows."""


@dataclass(frozen=True)
class MapPoint:
    """One class on the map: the position of its text, and the positions of its prototypes."""

    name: str
    before: Point
    after: tuple[Point, ...]
    tip: str


def prototype_maps(results: RunResults) -> tuple[PrototypeMap, ...]:
    """Return a map per learner. True labels are not needed."""
    names = [one_line(name) for name in results.class_names]
    several = len(results.prototypes) > 1
    return tuple(_map(one, names, several) for one in results.prototypes)


def project(rows: Tensor) -> Projection:
    """Project n rows (n, D) onto their first two principal components, in float64.

    The sign of each axis makes its largest loading positive, so that the same rows always give the
    same picture. Coordinates along an axis without variance are zero.
    """
    centred = rows.double() - rows.double().mean(dim=0)
    variances, axes = torch.linalg.eigh(centred.T @ centred)
    variances, axes = variances.flip(0)[:2].clamp_min(0), axes.flip(1)[:, :2]
    largest = axes.abs().argmax(dim=0, keepdim=True)
    axes = axes * torch.where(axes.gather(0, largest) < 0, -1.0, 1.0)
    total = float(centred.square().sum())
    points = torch.zeros(len(rows), 2, dtype=torch.float64)
    points[:, : axes.shape[1]] = centred @ axes
    shares = [float(value) / total if total > 1e-12 else 0.0 for value in variances] + [0.0, 0.0]
    return Projection(points, (shares[0], shares[1]))


def point_map(points: Sequence[MapPoint], label: str) -> Markup:
    """Draw points on a map with the same scale for both axes.

    Names are written in the order of the points. A name is left out if it would overlap a dot or
    an earlier name.
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


def _map(learner: LearnerPrototypes, names: Sequence[str], several: bool) -> PrototypeMap:
    before, after, owners = learner.before.weights, learner.after.directions, learner.after.owners
    own = (after.double() * before.double()[owners]).sum(dim=1)
    cosines = _class_mean(own, owners, len(names))
    order = cosines.argsort(stable=True).tolist()
    projection = project(torch.cat((before, after)))
    starts, ends = projection.points[: len(before)], projection.points[len(before) :]
    points = [
        MapPoint(
            names[label],
            _point(starts[label]),
            tuple(_point(ends[row]) for row in (owners == label).nonzero().flatten().tolist()),
            f"{names[label]}: cosine to its class text {cosines[label]:.3f}",
        )
        for label in order
    ]
    first, second = projection.shares
    return PrototypeMap(
        learner=one_line(learner.learner) if several else None,
        chart=point_map(points, "Class prototypes before and after adapting, on a plane"),
        shares=f"{100 * first:.0f} and {100 * second:.0f}{NARROW_SPACE}%",
        moved=tuple(_moved(learner, names, label, cosines) for label in order[:LISTED]),
        still=float(own.min()) > 1 - 1e-6,
    )


def _moved(
    learner: LearnerPrototypes, names: Sequence[str], label: int, cosines: Tensor
) -> MovedClass:
    weights, owners = learner.after.directions.double(), learner.after.owners
    likeness = (weights[owners == label] @ weights.T).amax(dim=0)
    likeness = likeness.masked_fill(owners == label, -torch.inf)
    nearest = int(owners[likeness.argmax()])
    start = learner.before.weights.double()
    return MovedClass(
        name=names[label],
        moved=f"{cosines[label]:.3f}",
        nearest=names[nearest] if len(names) > 1 else "",
        before=f"{float(start[label] @ start[nearest]):.3f}",
        after=f"{float(likeness.max()):.3f}",
    )


def _class_mean(values: Tensor, owners: Tensor, classes: int) -> Tensor:
    sums = torch.zeros(classes, dtype=values.dtype).index_add(0, owners, values)
    return sums / owners.bincount(minlength=classes).clamp_min(1)


def _point(row: Tensor) -> tuple[float, float]:
    return float(row[0]), float(row[1])


def _scales(points: Sequence[MapPoint]) -> tuple[Scale, Scale]:
    known = [end for one in points for end in (one.before, *one.after)]
    lows = [min(point[axis] for point in known) for axis in (0, 1)]
    highs = [max(point[axis] for point in known) for axis in (0, 1)]
    sizes = (_WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN)
    unit = max((high - low) / size for low, high, size in zip(lows, highs, sizes, strict=True))
    reach = [max(unit, 1e-12) * size / 2 for size in sizes]
    middles = [(low + high) / 2 for low, high in zip(lows, highs, strict=True)]
    return (
        Scale(middles[0] - reach[0], middles[0] + reach[0], _MARGIN, _WIDTH - _MARGIN),
        Scale(middles[1] - reach[1], middles[1] + reach[1], _HEIGHT - _MARGIN, _MARGIN),
    )


def _at(point: Point, x: Scale, y: Scale) -> Point:
    return x(point[0]), y(point[1])


def _write_names(
    drawing: Drawing, names: Sequence[tuple[str, Point]], dots: Sequence[Point], radius: float
) -> None:
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y in dots]
    for name, place in names:
        text = shortened(name, _LONGEST_NAME)
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
    """Return the possible boxes of a name of this width: right, left, above and below its dot."""
    x, y = place
    middle = x - width / 2
    corners = ((x + 8, y - 7), (x - 8 - width, y - 7), (middle, y - 21), (middle, y + 7))
    return tuple((left, top, left + width, top + 14) for left, top in corners)


def _inside(box: Box) -> bool:
    left, top, right, bottom = box
    return left > 2 and top > 2 and right < _WIDTH - 2 and bottom < _HEIGHT - 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
