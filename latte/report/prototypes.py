"""How class prototypes moved: a map of all, and a list of those that moved most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor

from latte.interfaces import LearnerPrototypes, RunResults
from latte.report.classes import LISTED
from latte.report.numbers import NARROW_SPACE
from latte.report.plain import one_line
from latte.report.point_map import MapPoint, point_map
from latte.report.projection import project


@dataclass(frozen=True)
class MovedClass:
    """One class's prototype, compared with where it began; all three figures are cosines."""

    name: str
    moved: str
    """Between its class text and its prototype now; of several, the mean."""
    nearest: str
    """The other class whose prototype is nearest now."""
    before: str
    after: str
    """Between the two classes, by their class texts and now."""


@dataclass(frozen=True)
class PrototypeMap:
    """One learner's."""

    learner: str | None
    """None where there is only one."""
    chart: Markup
    shares: str
    """Of the variance that the two axes show."""
    moved: tuple[MovedClass, ...]
    """Farthest first."""
    still: bool
    """Whether no prototype moved at all."""


def prototype_maps(results: RunResults) -> tuple[PrototypeMap, ...]:
    """A map for each learner; needs no labels."""
    names = [one_line(name) for name in results.class_names]
    several = len(results.prototypes) > 1
    return tuple(_map(one, names, several) for one in results.prototypes)


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
