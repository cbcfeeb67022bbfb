"""Which classes were taken for which: counted from what a finished run left in its folder."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latte.describe.bank import DescriptionBank
from latte.evaluate.similarities import Similarities
from latte.interfaces import (
    Classifier,
    Confusion,
    Evaluation,
    GalleryEntry,
    LabelFlow,
    LearnerPrototypes,
    RunResults,
)
from latte.results.evaluations import read_evaluations
from latte.results.folder import RunFolder
from latte.results.identity import STAGES
from latte.results.metrics_log import read_metrics
from latte.results.stored import explained, read_stored, same_count
from latte.results.verdict import read_verdict
from latte.run.adapted import load_classifiers, mean_similarities
from latte.run.calibrating import read_calibration
from latte.run.describing import load_bank, read_held_back
from latte.run.evaluating import PseudoLabels, read_pseudo_labels, split_rows
from latte.run.images import Images
from latte.run.posterior import read_own_images
from latte.run.present import read_present
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot, zero_shot_labels, zero_shot_of


def confusions(
    folder: RunFolder, images: Images, zero_shot: ZeroShot
) -> dict[str, tuple[Confusion, ...]]:
    """Of the zero-shot and of the adapted model; empty without an evaluation split.

    Counted on the images that the two are measured on: see `split_rows`.

    Raises `LatteError` where the predictions are damaged.
    """
    if not images.labels:
        return {}
    before = zero_shot_labels(zero_shot.evaluation, zero_shot.class_features)
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


# What reporters get: the artifacts of a finished run, read back.


GALLERY = 200
"""Reporters choose from so many training images, drawn from the seed."""


def collect_results(
    workspace: Workspace, images: Images, controls: Mapping[str, Sequence[Evaluation]]
) -> RunResults:
    """Everything that a report may state about a run whose stages are finished.

    Raises `LatteError` for a file of the run that is damaged, or about other images.
    """
    folder = workspace.folder
    labels = read_pseudo_labels(folder, images.class_names)
    counts = [len(labels.adapted), len(images.training.images)]
    same_count(folder.pseudo_labels, "training images", counts)
    bank = load_bank(workspace, images)
    zero_shot = zero_shot_of(folder.zero_shot, images)
    return RunResults(
        folder=folder.path,
        name=workspace.recipe.general.name,
        recipe=workspace.recipe.resolved,
        environment=read_stored(folder.environment, dict[str, Any]),
        class_names=images.class_names,
        training_images=len(images.training.images),
        skipped_images=images.skipped,
        seconds=_seconds(workspace),
        metrics=tuple(read_metrics(folder.metrics)),
        evaluations=tuple(_with_controls(read_evaluations(folder), controls)),
        gallery=tuple(_gallery(workspace, images, labels, bank)),
        pseudo_label_counts=_counts(labels, len(images.class_names)),
        verdict=read_verdict(folder),
        held_back=read_held_back(folder),
        calibration=read_calibration(folder),
        present=read_present(folder, images.class_names),
        confusions=confusions(folder, images, zero_shot),
        label_flows=label_flows(labels),
        prototypes=_prototypes(folder, zero_shot),
        peak_memory_mb=_peak_memory(workspace),
    )


def _seconds(workspace: Workspace) -> dict[str, float]:
    records = {stage: workspace.folder.finished(stage) for stage in STAGES[:-1]}
    return {stage: record.seconds for stage, record in records.items() if record}


def _peak_memory(workspace: Workspace) -> dict[str, float]:
    records = {stage: workspace.folder.finished(stage) for stage in STAGES[:-1]}
    return {
        stage: record.peak_memory_mb
        for stage, record in records.items()
        if record and record.peak_memory_mb is not None
    }


def _prototypes(folder: RunFolder, zero_shot: ZeroShot) -> tuple[LearnerPrototypes, ...]:
    weights = zero_shot.class_features
    before = Classifier(weights, torch.arange(len(weights)))
    _, classifiers = load_classifiers(folder)
    return tuple(LearnerPrototypes(name, before, after) for name, after in classifiers.items())


def _with_controls(
    own: Sequence[Evaluation], controls: Mapping[str, Sequence[Evaluation]]
) -> list[Evaluation]:
    """Own evaluations, and of each control its adapted model under the control's name."""
    return [
        *own,
        *(
            replace(one, name=name)
            for name, evaluations in controls.items()
            for one in evaluations
            if one.name == "adapted"
        ),
    ]


def _gallery(
    workspace: Workspace, images: Images, labels: PseudoLabels, bank: DescriptionBank
) -> list[GalleryEntry]:
    references = images.training.images
    known = workspace.dataset.audit_labels()
    rows = random.Random(workspace.seed).sample(
        range(len(references)), min(GALLERY, len(references))
    )
    return [
        GalleryEntry(
            image=references[row],
            descriptions=bank.described(row, references),
            frozen_label=labels.frozen[row],
            adapted_label=labels.adapted[row],
            true_label=known.get(references[row].id),
        )
        for row in rows
    ]


def _counts(labels: PseudoLabels, classes: int) -> tuple[tuple[int, int], ...]:
    frozen, adapted = Counter(labels.frozen), Counter(labels.adapted)
    return tuple((frozen[index], adapted[index]) for index in range(classes))
