"""Which classes were taken for which: counted from what a finished run left in its folder."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence

import torch
from safetensors import safe_open

from latte.interfaces import Classifier, Confusion, LabelFlow
from latte.run.evaluating import PseudoLabels
from latte.run.folder import RunFolder
from latte.run.images import Images


def confusions(folder: RunFolder, images: Images) -> dict[str, tuple[Confusion, ...]]:
    """Of the zero-shot and of the adapted model; empty without an evaluation split."""
    if not images.labels:
        return {}
    return {
        "zero-shot": _count(images.labels, _zero_shot_classes(folder)),
        "adapted": _count(images.labels, _predicted_classes(folder, images.class_names)),
    }


def label_flows(labels: PseudoLabels) -> tuple[LabelFlow, ...]:
    """Pairs of frozen and adapted pseudo-label; see `RunResults.label_flows`."""
    return tuple(LabelFlow(*pair, number) for pair, number in _pairs(labels.frozen, labels.adapted))


def _count(labels: Sequence[int], predicted: Sequence[int]) -> tuple[Confusion, ...]:
    return tuple(Confusion(*pair, number) for pair, number in _pairs(labels, predicted))


def _pairs(first: Sequence[int], second: Sequence[int]) -> list[tuple[tuple[int, int], int]]:
    """Pairs and their numbers, the most frequent first, then in label order."""
    found = Counter(zip(first, second, strict=True))
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _zero_shot_classes(folder: RunFolder) -> list[int]:
    with safe_open(folder.zero_shot, framework="pt") as tensors:
        features = tensors.get_tensor("evaluation")
        weights = tensors.get_tensor("class_features")
    classifier = Classifier(weights, torch.arange(len(weights)))
    return [int(label) for label in classifier.similarities(features).argmax(dim=1)]


def _predicted_classes(folder: RunFolder, class_names: Sequence[str]) -> list[int]:
    label_of = {name: label for label, name in enumerate(class_names)}
    with folder.predictions.open(encoding="utf-8", newline="") as file:
        return [label_of[row["class_1"]] for row in csv.DictReader(file)]
