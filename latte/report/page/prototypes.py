"""List the classes whose prototypes moved most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from latte.interfaces import LearnerPrototypes, RunResults
from latte.io.redaction import one_line
from latte.report.page.classes import LISTED


@dataclass(frozen=True)
class MovedClass:
    """Movement of one class's prototypes by adapting; `moved`, `before` and `after` are cosines."""

    name: str
    moved: str
    """Cosine of class text and adapted prototype; the mean if the class has several prototypes."""
    nearest: str
    """The other class with the adapted prototype that is nearest to a prototype of this class."""
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
