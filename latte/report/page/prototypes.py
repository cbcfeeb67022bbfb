"""List the classes whose prototypes moved most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from latte.interfaces import LearnerPrototypes, RunResults
from latte.io.redaction import one_line
from latte.report.page.classes import LISTED


def moved_prototypes(results: RunResults) -> list[dict[str, Any]]:
    """Return, per learner, the classes whose prototypes moved most, farthest first.

    `moved`, `before` and `after` of a class are cosines: of its text and its adapted prototypes
    (their mean), and of it and the class whose adapted prototype is nearest. `still` is true if no
    prototype moved.
    """
    names = [one_line(name) for name in results.class_names]
    several = len(results.prototypes) > 1
    return [_moved(one, names, several) for one in results.prototypes]


def _moved(learner: LearnerPrototypes, names: Sequence[str], several: bool) -> dict[str, Any]:
    texts, owners = learner.before.weights.double(), learner.after.owners
    prototypes = learner.after.directions.double()
    own = (prototypes * texts[owners]).sum(dim=1)
    sums = torch.zeros(len(names), dtype=own.dtype).index_add(0, owners, own)
    cosines = sums / owners.bincount(minlength=len(names)).clamp_min(1)

    def moved_class(label: int) -> dict[str, str]:
        likeness = (prototypes[owners == label] @ prototypes.T).amax(dim=0)
        likeness = likeness.masked_fill(owners == label, -torch.inf)
        nearest = int(owners[likeness.argmax()])
        return {
            "name": names[label],
            "moved": f"{cosines[label]:.3f}",
            "nearest": names[nearest] if len(names) > 1 else "",
            "before": f"{float(texts[label] @ texts[nearest]):.3f}",
            "after": f"{float(likeness.max()):.3f}",
        }

    return {
        "learner": one_line(learner.learner) if several else None,
        "classes": [*map(moved_class, cosines.argsort(stable=True).tolist()[:LISTED])],
        "still": float(own.min()) > 1 - 1e-6,
    }
