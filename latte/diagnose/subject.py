"""A finished run as the measures need it: features, labels, texts and prototypes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from latte.compare.run import Run
from latte.describe.bank import DescriptionBank
from latte.diagnose.descriptions import Texts
from latte.diagnose.texts import FrozenClip, FrozenClips
from latte.interfaces import Classifier, Evaluation, LatteError, Progress
from latte.registry.registry import Registry
from latte.run.adapted import load_classifiers
from latte.run.describing import build_descriptions
from latte.run.evaluating import read_evaluations, read_pseudo_labels
from latte.run.folder import RunFolder
from latte.run.reopen import open_workspace
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot, load_zero_shot

_NEEDED = ("describe", "train")
"""Stages whose files are read beside those that every comparison of runs asks for."""


@dataclass(frozen=True)
class Subject:
    """One run, on the CPU."""

    run: Run
    class_names: tuple[str, ...]
    zero_shot: ZeroShot
    logit_scale: float
    """The frozen CLIP's."""
    adapted_labels: Tensor
    """(N,) int64: the adapted model's classes of the training images."""
    prototypes: Mapping[str, Classifier]
    """By learner."""
    texts: Texts
    test_labels: Tensor
    """(M,) int64: true classes of the evaluation images."""
    evaluations: tuple[Evaluation, ...]
    """Zero-shot and adapted; empty without an evaluation split."""


def read_subject(run: Run, registry: Registry, progress: Progress, clips: FrozenClips) -> Subject:
    """Read a run's artifacts, and encode its texts with its frozen CLIP; no image is read.

    Raises `LatteError` for what is missing or damaged.
    """
    workspace = open_workspace(run.folder, registry, progress)
    folder = workspace.folder
    _refuse_incomplete(workspace)
    names, prototypes = load_classifiers(folder)
    try:
        zero_shot = load_zero_shot(folder.zero_shot)
    except SafetensorError as error:
        raise LatteError(f"this file is damaged ({error})", where=str(folder.zero_shot)) from error
    clip = clips.of(workspace)
    return Subject(
        run=run,
        class_names=names,
        zero_shot=zero_shot,
        logit_scale=clip.logit_scale,
        adapted_labels=torch.tensor(read_pseudo_labels(folder, names).adapted),
        prototypes=prototypes,
        texts=_texts(workspace, names, zero_shot, clip),
        test_labels=_test_labels(folder.evaluation_images),
        evaluations=tuple(read_evaluations(folder)),
    )


def zero_shot_classifier(zero_shot: ZeroShot) -> Classifier:
    """The class features as they classify."""
    return Classifier(zero_shot.class_features, torch.arange(len(zero_shot.class_features)))


def _refuse_incomplete(workspace: Workspace) -> None:
    folder: RunFolder = workspace.folder
    for stage in _NEEDED:
        if folder.finished(stage) is None:
            raise LatteError(
                f"stage `{stage}` of this run is not finished, or its files are gone",
                where=str(folder.path),
                hint=f"the command that began it does what is missing: latte run "
                f"{workspace.recipe.path}",
            )


def _texts(
    workspace: Workspace, class_names: tuple[str, ...], zero_shot: ZeroShot, clip: FrozenClip
) -> Texts:
    template = workspace.dataset.template
    kinds = build_descriptions(workspace, template)
    bank = DescriptionBank.load(workspace.folder.descriptions, class_names, template, kinds)
    return Texts(
        features=clip.encode(bank.unique_texts, workspace.progress),
        rows={name: bank.own_rows(name)[:, 0] for name in kinds},
        answered={name: column.answered() for name, column in bank.columns.items()},
        leaking=frozenset(
            name
            for name in bank.columns
            if len({tuple(kinds[name].prompts(class_name)) for class_name in class_names}) > 1
        ),
        classifier=zero_shot_classifier(zero_shot),
        weights={name: kind.weight for name, kind in kinds.items()},
    )


def _test_labels(path: Path) -> Tensor:
    lines = path.read_text(encoding="utf-8").splitlines()
    return torch.tensor([json.loads(line)["label"] for line in lines], dtype=torch.int64)
