"""Show what adapting changed, without true labels: pseudo-labels per class, and prototypes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from markupsafe import Markup

from latte.interfaces import LearnerPrototypes, RunResults
from latte.io.redaction import one_line
from latte.report.charts import count_bars
from latte.report.numbers import percent, signed_count
from latte.report.page.classes import LISTED

MOST_FLOWS = 14


@dataclass(frozen=True)
class LabelRow:
    """A class, and how many training images zero-shot CLIP and the adapted model assign to it."""

    name: str
    frozen: int
    adapted: int
    bar: Markup

    @property
    def change(self) -> str:
        """Number of training images that adapting added to this class (`+3`) or removed (`−3`)."""
        return signed_count(self.adapted - self.frozen)


def label_counts(names: Sequence[str], counts: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return the label counts of all classes; `counts` is `RunResults.pseudo_label_counts`."""
    largest = max((number for pair in counts for number in pair), default=0)
    rows = [
        LabelRow(name, frozen, adapted, count_bars(frozen, adapted, largest))
        for name, (frozen, adapted) in zip(names, counts, strict=True)
    ]
    grown = sorted(rows, key=lambda row: row.frozen - row.adapted)
    return {
        "rows": rows,
        "gained": [row for row in grown[:LISTED] if row.adapted > row.frozen],
        "lost": [row for row in grown[::-1][:LISTED] if row.adapted < row.frozen],
        "without_frozen": sum(row.frozen == 0 for row in rows),
        "without_adapted": sum(row.adapted == 0 for row in rows),
    }


def flows(results: RunResults) -> dict[str, Any] | None:
    """Count label changes by pair (zero-shot class, adapted class); None if nothing is recorded.

    `pairs` is the number of pairs, and `rows` has the most frequent pairs. A row's `share` is
    relative to all images of its zero-shot class. `covered` is the share of changes in `rows`.
    """
    recorded = results.label_flows
    if not recorded:
        return None
    names = [one_line(name) for name in results.record.data.class_names]
    started: Counter[int] = Counter()
    for flow in recorded:
        started[flow.frozen] += flow.images
    changed = [flow for flow in recorded if flow.frozen != flow.adapted]
    moved = sum(flow.images for flow in changed)
    rows = [
        {
            "start": names[flow.frozen],
            "end": names[flow.adapted],
            "images": flow.images,
            "share": percent(flow.images / started[flow.frozen], started[flow.frozen]),
        }
        for flow in changed[:MOST_FLOWS]
    ]
    shown = sum(flow.images for flow in changed[:MOST_FLOWS])
    return {
        "rows": rows,
        "pairs": len(changed),
        "covered": percent(shown / moved, moved) if moved else "",
    }


def moved_prototypes(results: RunResults) -> list[dict[str, Any]]:
    """Return, per learner, the classes whose prototypes moved most, farthest first.

    `moved` is the mean cosine between a class's text and its adapted prototypes. `nearest` is the
    nearest class after adapting; `before` and `after` are cosines to it. `still` is true if no
    prototype moved.
    """
    names = [one_line(name) for name in results.record.data.class_names]
    are_several = len(results.prototypes) > 1
    return [_moved(learner, names, are_several) for learner in results.prototypes]


def _moved(learner: LearnerPrototypes, names: Sequence[str], are_several: bool) -> dict[str, Any]:
    texts, owners = learner.before.weights.double(), learner.after.owners
    prototypes = learner.after.directions.double()
    own_cosines = (prototypes * texts[owners]).sum(dim=1)
    sums = torch.zeros(len(names), dtype=own_cosines.dtype).index_add(0, owners, own_cosines)
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
        "learner": one_line(learner.learner) if are_several else None,
        "classes": [*map(moved_class, cosines.argsort(stable=True).tolist()[:LISTED])],
        "still": float(own_cosines.min()) > 1 - 1e-6,
    }
