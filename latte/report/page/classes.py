"""Changes of each class by adapting: its accuracy, and the movement of its prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup

from latte.interfaces import LearnerPrototypes, RunResults
from latte.io.redaction import one_line
from latte.report.charts import change_bar
from latte.report.numbers import bare_percent, points
from latte.report.sentences import ADAPTED, ZERO_SHOT, named

LISTED = 8
"""Number of classes in the lists of the most improved and of the most worsened classes."""
MOST_CLASSES = 1_000
"""Largest number of classes in the full table; ten thousand rows would take ten megabytes."""


@dataclass(frozen=True)
class ClassRow:
    """Accuracy on one class; optional fields are None if the evaluation split lacks the class."""

    name: str
    images: int
    change: float
    """Adapted minus zero-shot accuracy, as a fraction."""
    before: str | None = None
    after: str | None = None
    points: str | None = None
    bar: Markup | None = None


@dataclass(frozen=True)
class ClassChanges:
    """All classes, largest gain first, and the most improved and most worsened classes."""

    rows: tuple[ClassRow, ...]
    improved: tuple[ClassRow, ...]
    worsened: tuple[ClassRow, ...]
    better: int
    worse: int
    absent: int
    """Number of classes without an evaluation image."""


def class_changes(results: RunResults) -> ClassChanges | None:
    """Return the change of accuracy of each class; None if nothing was evaluated."""
    before, after = named(results.evaluations, ZERO_SHOT), named(results.evaluations, ADAPTED)
    if before is None or after is None:
        return None
    rows = [
        class_row(name, now.images, was.correct / now.images, now.correct / now.images)
        if now.images
        else ClassRow(name, 0, 0.0)
        for name, was, now in zip(results.class_names, before.classes, after.classes, strict=True)
    ]
    rows.sort(key=lambda row: (row.images == 0, -row.change))
    better = [row for row in rows if row.change > 0]
    worse = [row for row in rows if row.change < 0]
    return ClassChanges(
        rows=tuple(rows),
        improved=tuple(better[:LISTED]),
        worsened=tuple(worse[::-1][:LISTED]),
        better=len(better),
        worse=len(worse),
        absent=sum(row.images == 0 for row in rows),
    )


def class_row(name: str, images: int, before: float, after: float) -> ClassRow:
    """Return the row of a class; `before` and `after` are its accuracies on `images` images."""
    return ClassRow(
        name,
        images,
        after - before,
        bare_percent(before, images),
        bare_percent(after, images),
        points(after - before, images),
        change_bar(before, after),
    )


@dataclass(frozen=True)
class MovedClass:
    """Movement of one class's prototypes by adapting; `moved`, `before` and `after` are cosines."""

    name: str
    moved: str
    """Cosine of class text and adapted prototype; the mean if the class has several prototypes."""
    nearest: str
    """The other class whose adapted prototypes come nearest to those of this class."""
    before: str
    """Cosine between the texts of this class and of the class `nearest`."""
    after: str
    """Largest cosine between an adapted prototype of this class and one of the class `nearest`."""


@dataclass(frozen=True)
class MovedPrototypes:
    """Movement of the prototypes of one learner (an adapted copy of the CLIP)."""

    learner: str | None
    """Name of the learner; None if there is only one learner."""
    classes: tuple[MovedClass, ...]
    """The classes that moved most, farthest first."""
    still: bool
    """True if no prototype moved."""


def moved_prototypes(results: RunResults) -> tuple[MovedPrototypes, ...]:
    """Return the movement of each learner's prototypes. True labels are not needed."""
    names = [one_line(name) for name in results.class_names]
    several = len(results.prototypes) > 1
    return tuple(_moved(one, names, several) for one in results.prototypes)


def _moved(learner: LearnerPrototypes, names: Sequence[str], several: bool) -> MovedPrototypes:
    texts, owners = learner.before.weights.double(), learner.after.owners
    prototypes = learner.after.directions.double()
    own = (prototypes * texts[owners]).sum(dim=1)
    sums = torch.zeros(len(names), dtype=own.dtype).index_add(0, owners, own)
    cosines = sums / owners.bincount(minlength=len(names)).clamp_min(1)

    def moved_class(label: int) -> MovedClass:
        likeness = (prototypes[owners == label] @ prototypes.T).amax(dim=0)
        likeness = likeness.masked_fill(owners == label, -torch.inf)
        nearest = int(owners[likeness.argmax()])
        return MovedClass(
            name=names[label],
            moved=f"{cosines[label]:.3f}",
            nearest=names[nearest] if len(names) > 1 else "",
            before=f"{float(texts[label] @ texts[nearest]):.3f}",
            after=f"{float(likeness.max()):.3f}",
        )

    return MovedPrototypes(
        learner=one_line(learner.learner) if several else None,
        classes=tuple(map(moved_class, cosines.argsort(stable=True).tolist()[:LISTED])),
        still=float(own.min()) > 1 - 1e-6,
    )
