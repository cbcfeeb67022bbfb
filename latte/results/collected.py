"""Collect the results that are in the files of a run folder. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from latte.interfaces import LabelFlow, RunResults
from latte.results.run import Run

PairT = TypeVar("PairT")


def stored_results(run: Run) -> RunResults:
    """Return the results that are in the files of a run folder, without images and controls."""
    labels = run.rows.pseudo_labels
    pairs = [
        pair
        for row, pair in enumerate(zip(labels.frozen, labels.adapted, strict=True))
        if row not in labels.none
    ]
    frozen, adapted = Counter(labels.frozen), Counter(label for _, label in pairs)
    return RunResults(
        folder=run.folder.path,
        record=run.record.without_stages("report"),
        metrics=(),
        gallery=(),
        pseudo_label_counts=tuple(
            (frozen[label], adapted[label]) for label in range(len(run.class_names))
        ),
        label_flows=count_pairs(LabelFlow, *([pair[place] for pair in pairs] for place in (0, 1))),
        none_images=len(labels.none),
    )


def count_pairs(
    kind: Callable[[int, int, int], PairT],
    first_labels: Sequence[int],
    second_labels: Sequence[int],
) -> tuple[PairT, ...]:
    """Count each pair of labels; return `kind(first, second, count)`, most frequent pair first."""
    counts = Counter(zip(first_labels, second_labels, strict=True))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(kind(*pair, number) for pair, number in ordered)
