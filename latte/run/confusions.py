"""Which classes were taken for which: counted from what a finished run left in its folder."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from latte.evaluate.similarities import Similarities
from latte.interfaces import Confusion, LabelFlow
from latte.run.adapted import load_classifiers, mean_similarities
from latte.run.evaluating import PseudoLabels, split_rows
from latte.run.folder import RunFolder
from latte.run.images import Images
from latte.run.posterior import read_own_images
from latte.run.stored import explained, same_count
from latte.run.zero_shot import ZeroShot, frozen_labels


def confusions(
    folder: RunFolder, images: Images, zero_shot: ZeroShot
) -> dict[str, tuple[Confusion, ...]]:
    """Of the zero-shot and of the adapted model; empty without an evaluation split.

    Counted on the images that the two are measured on: see `split_rows`.

    Raises `LatteError` where the predictions are damaged.
    """
    if not images.labels:
        return {}
    before = frozen_labels(zero_shot.evaluation, zero_shot.class_features)
    after = torch.tensor(_predicted_classes(folder, images.class_names))
    same_count(folder.predictions, "test images", [len(after), len(images.labels)])
    own = read_own_images(folder, len(images.class_names))
    rows, answered = split_rows(own, images.evaluation.keys)
    if len(answered):
        after = _classified(folder, zero_shot)
    labels = torch.tensor(images.labels)[rows].tolist()
    return {
        "zero-shot": _count(labels, before[rows].tolist()),
        "adapted": _count(labels, after[rows].tolist()),
    }


def _classified(folder: RunFolder, zero_shot: ZeroShot) -> Tensor:
    """The classifier's classes (M,) in a run with a posterior, whose features are the frozen ones.

    `predictions.csv` has the posterior's answers in their place.
    """
    _, classifiers = load_classifiers(folder)
    features, found = zero_shot.evaluation, [*classifiers.values()]
    similarities = Similarities(
        len(features),
        found[0].classes,
        lambda rows: mean_similarities(found, [features[rows]] * len(found)),
    )
    return similarities.labels()


def label_flows(labels: PseudoLabels) -> tuple[LabelFlow, ...]:
    """Pairs of frozen and adapted pseudo-label; see `RunResults.label_flows`."""
    return tuple(LabelFlow(*pair, number) for pair, number in _pairs(labels.frozen, labels.adapted))


def _count(labels: Sequence[int], predicted: Sequence[int]) -> tuple[Confusion, ...]:
    return tuple(Confusion(*pair, number) for pair, number in _pairs(labels, predicted))


def _pairs(first: Sequence[int], second: Sequence[int]) -> list[tuple[tuple[int, int], int]]:
    """Pairs and their numbers, the most frequent first, then in label order."""
    found = Counter(zip(first, second, strict=True))
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _predicted_classes(folder: RunFolder, class_names: Sequence[str]) -> list[int]:
    label_of = {name: label for label, name in enumerate(class_names)}
    with (
        explained(folder.predictions),
        folder.predictions.open(encoding="utf-8", newline="") as file,
    ):
        return [label_of[row["class_1"]] for row in csv.DictReader(file, strict=True)]
