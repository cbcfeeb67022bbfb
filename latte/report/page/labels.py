"""Pseudo-labels of the training images: images per class, and changes from class to class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latte.interfaces import RunResults
from latte.io.redaction import one_line
from latte.report.charts import count_bars
from latte.report.numbers import count, percent, plural, signed_count
from latte.report.page.classes import LISTED

MOST_FLOWS = 14
"""Largest number of changes in the table of changes from class to class."""


@dataclass(frozen=True)
class LabelRow:
    """Number of training images with one class as zero-shot label, and as adapted label."""

    name: str
    frozen: int
    adapted: int
    bar: Markup

    @property
    def change(self) -> str:
        """Number of training images that adapting added to this class (`+3`) or removed (`−3`)."""
        return signed_count(self.adapted - self.frozen)


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of images per class, in label order, and the classes whose numbers changed most."""

    rows: tuple[LabelRow, ...]
    gained: tuple[LabelRow, ...]
    lost: tuple[LabelRow, ...]
    without_frozen: int
    """Number of classes that are the zero-shot label of no image."""
    without_adapted: int
    """Number of classes that are the adapted label of no image."""


@dataclass(frozen=True)
class Flow:
    """The training images whose label changed from the class `start` to the class `end`."""

    start: str
    end: str
    images: int
    share: str
    """The number `images`, as a share of all images with the zero-shot label `start`."""


@dataclass(frozen=True)
class Flows:
    """Changes of a run's pseudo-labels from class to class."""

    sentence: str
    rows: tuple[Flow, ...]
    """The pairs of classes between which most labels changed."""
    pairs: int
    """Number of distinct pairs of a zero-shot label and a different adapted label."""
    covered: str
    """Images of `rows` as a share of all images whose label changed."""


def label_counts(names: Sequence[str], counts: Sequence[tuple[int, int]]) -> LabelCounts:
    """Return the label counts of all classes; `counts` is `RunResults.pseudo_label_counts`."""
    largest = max((number for pair in counts for number in pair), default=0)
    rows = [
        LabelRow(name, frozen, adapted, count_bars(frozen, adapted, largest))
        for name, (frozen, adapted) in zip(names, counts, strict=True)
    ]
    grown = sorted(rows, key=lambda row: row.frozen - row.adapted)
    return LabelCounts(
        rows=tuple(rows),
        gained=tuple(row for row in grown[:LISTED] if row.adapted > row.frozen),
        lost=tuple(row for row in grown[::-1][:LISTED] if row.adapted < row.frozen),
        without_frozen=sum(row.frozen == 0 for row in rows),
        without_adapted=sum(row.adapted == 0 for row in rows),
    )


def flows(results: RunResults) -> Flows | None:
    """Return how many labels changed from which class to which; None if nothing was recorded."""
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
        for one in changed[:MOST_FLOWS]
    )
    shown = sum(row.images for row in rows)
    return Flows(
        sentence=(
            f"The adapted model gives {count(moved)} of {plural(total, 'training image')} "
            f"({percent(moved / total, total)}) another label than zero-shot CLIP did."
        ),
        rows=rows,
        pairs=len(changed),
        covered=percent(shown / moved, moved) if moved else "",
    )
