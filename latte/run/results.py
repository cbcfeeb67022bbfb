"""What reporters get: the artifacts of a finished run, read back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from latte.adapt.metrics import read_metrics
from latte.describe.bank import DescriptionBank
from latte.interfaces import (
    Classifier,
    Evaluation,
    GalleryEntry,
    LearnerPrototypes,
    RunResults,
)
from latte.run.adapted import load_classifiers
from latte.run.calibrating import read_calibration
from latte.run.confusions import confusions, label_flows
from latte.run.describing import load_bank
from latte.run.evaluating import PseudoLabels, read_pseudo_labels
from latte.run.evaluations import read_evaluations
from latte.run.folder import RunFolder
from latte.run.gating import read_held_back
from latte.run.identity import STAGES
from latte.run.images import Images
from latte.run.present import read_present
from latte.run.stored import read_stored, same_count
from latte.run.verdict import read_verdict
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot, zero_shot_of

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
