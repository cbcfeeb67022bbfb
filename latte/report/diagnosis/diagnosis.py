"""Diagnose finished runs: the guard's verdict, label-free measures, and the gain if known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from latte.interfaces import Evaluation, LatteError, Progress, Verdict
from latte.registry.registry import Registry
from latte.report.diagnosis.measures import (
    Measure,
    Measurement,
    Section,
    change_measure,
    closest_classes,
    confidence_measures,
    find_neighbours,
    purity_measure,
    usage_measure,
)
from latte.results.finished import FinishedRun
from latte.results.stored import same_count
from latte.results.summary import Run, read_runs
from latte.run.adapted import load_classifiers, refuse_other_width
from latte.run.reopen import open_workspace
from latte.run.workspace import Workspace
from latte.run.zero_shot import load_zero_shot

STRENGTH = Measure(
    "strength",
    "strength",
    "share",
    "share of the adapted model in the run's classifier; 0: zero-shot CLIP",
)
ZERO_SHOT = Measure(
    "zero_shot_top1", "zero-shot top-1", "share", "test images whose nearest class is the true one"
)
ADAPTED = Measure("adapted_top1", "adapted top-1", "share", "the same by the adapted model")
GAIN = Measure("gain", "gain", "points", "adapted minus zero-shot, in percentage points")


@dataclass(frozen=True)
class Diagnosis:
    """All measures of one run."""

    run: Run
    training_images: int
    classes: int
    sections: tuple[Section, ...]
    """Measures that need no label."""
    labelled: Section | None
    """Accuracies and gain on the labelled test images; None if there are no such images."""


@dataclass(frozen=True)
class Aligned:
    """Values of one measure in several runs."""

    key: str
    section: str
    measure: Measure
    values: tuple[float, ...]
    """One value per run; NaN for a run without this measure."""


@dataclass(frozen=True)
class Diagnoses:
    """Diagnoses of at least one run."""

    runs: tuple[Diagnosis, ...]
    skipped: tuple[LatteError, ...]


def diagnose_runs(paths: Sequence[Path], registry: Registry, progress: Progress) -> Diagnoses:
    """Diagnose the finished runs in `paths`, which are run folders or folders of run folders."""
    runs, skipped = read_runs(paths)
    found, opened = [], list[Workspace]()
    for run in runs:
        progress.say(f"diagnose {run.folder.name}")
        try:
            workspace = open_workspace(run.folder, registry, progress)
            like = next(filter(workspace.shares_clip, opened), None)
            if like is None:
                opened.append(workspace)
            else:
                workspace.frozen_clip = like.frozen_clip
            found.append(diagnose_run(run, workspace))
        except LatteError as error:
            skipped.append(error)
    if not found:
        raise skipped[0] if len(skipped) == 1 else LatteError("\n".join(map(str, skipped)))
    return Diagnoses(tuple(found), tuple(skipped))


def diagnose_run(run: Run, workspace: Workspace) -> Diagnosis:
    """Return all measures of one run; no image is read."""
    files, path = FinishedRun(workspace.folder), workspace.folder.zero_shot
    prototypes, classes = load_classifiers(files), len(files.class_names)
    zero_shot = load_zero_shot(path)
    refuse_other_width(files, prototypes, zero_shot.class_features.shape[1])
    before, after = zero_shot.zero_shot_labels, torch.tensor(files.pseudo_labels.adapted)
    same_count(path, "training images", [len(zero_shot.training), len(after)])
    same_count(path, "classes", [len(zero_shot.class_features), classes])
    near = find_neighbours(zero_shot.training, run.seed, workspace.progress)
    scale = float(workspace.frozen_clip.logit_scale.detach())
    labels = (change_measure(before, after), usage_measure(after, classes))
    adapted = (*labels, purity_measure(after, near))
    frozen = (
        *confidence_measures(zero_shot.training, zero_shot.classifier, scale),
        purity_measure(before, near),
        closest_classes(zero_shot.classifier),
    )
    return Diagnosis(
        run=run,
        training_images=len(after),
        classes=classes,
        sections=(
            *((verdict_section(run.verdict),) if run.verdict else ()),
            Section("adapted", "adapted labels", adapted),
            *(
                Section(f"prototypes.{name}", f"prototypes{of}", (closest_classes(classifier),))
                for name, classifier in prototypes.items()
                for of in [f" of `{name}`" if len(prototypes) > 1 else ""]
            ),
            Section("zero_shot", "zero-shot CLIP", frozen),
        ),
        labelled=_labelled(files.evaluations),
    )


def align(runs: Sequence[Sequence[Section]]) -> list[Aligned]:
    """Return each measure with its values in all runs, grouped by section of the diagnosis."""
    found: dict[str, dict[str, tuple[str, Measure, list[float]]]] = {}
    for number, sections in enumerate(runs):
        for section in sections:
            rows = found.setdefault(section.part, {})
            for key, one in section.by_key.items():
                nothing = (section.title, one.measure, [math.nan] * len(runs))
                rows.setdefault(key, nothing)[2][number] = one.value
    return [
        Aligned(key, title, measure, tuple(values))
        for rows in found.values()
        for key, (title, measure, values) in rows.items()
    ]


def verdict_section(verdict: Verdict) -> Section:
    """Return the section on a guard's verdict: its strength and label-free signals."""
    signals = (
        Measurement(Measure(f"signal.{name}", name, "index", "a signal of the guard"), value)
        for name, value in verdict.signals.items()
    )
    measured = (Measurement(STRENGTH, verdict.strength),)
    return Section("verdict", "verdict of the guard", (*measured, *signals))


def _labelled(evaluations: Sequence[Evaluation]) -> Section | None:
    """Return zero-shot and adapted accuracy and the gain, with intervals; None if not measured."""
    if not evaluations:
        return None
    by_name = {one.name: one for one in evaluations}
    before, after = by_name["zero-shot"], by_name["adapted"]
    measured = {ZERO_SHOT: before.top1, ADAPTED: after.top1, GAIN: after.gain}
    found = (Measurement(key, one.value, interval=one) for key, one in measured.items() if one)
    return Section("labelled", "test images (needs labels)", tuple(found))
