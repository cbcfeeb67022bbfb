"""Read finished runs for diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.describe.bank import DescriptionBank
from latte.interfaces import Classifier, Evaluation, LatteError, Verdict
from latte.report.diagnosis.descriptions import Texts
from latte.results.finished import FinishedRun
from latte.results.folder import RunFolder
from latte.results.stored import same_count
from latte.results.summary import Run
from latte.run.adapted import load_classifiers, refuse_other_width
from latte.run.describing import build_descriptions
from latte.run.evaluating import split_rows
from latte.run.posterior import read_own_images
from latte.run.workspace import Workspace
from latte.run.zero_shot import FrozenTexts, ZeroShot, load_zero_shot

_NEEDED = ("describe", "train")
"""Stages whose files are read, in addition to the files that every comparison needs."""


@dataclass(frozen=True)
class Subject:
    """Data of one run from which measures are computed; tensors are on the CPU."""

    run: Run
    class_names: tuple[str, ...]
    zero_shot: ZeroShot
    logit_scale: float
    """The logit scale of the frozen CLIP."""
    adapted_labels: Tensor
    """(N,) int64: the adapted model's classes of the training images."""
    prototypes: Mapping[str, Classifier]
    """The adapted prototypes of each learner."""
    verdict: Verdict | None
    """The guard's verdict; None without a guard."""
    texts: Texts
    test_labels: Tensor
    """(M,) int64: true classes of the test images on which the adapted classifier is measured."""
    test_features: Tensor
    """(M, D): frozen unit features of these images."""
    evaluations: tuple[Evaluation, ...]
    """Measured accuracies of zero-shot and adapted model; empty without an evaluation split."""


def read_subject(run: Run, workspace: Workspace) -> Subject:
    """Read a run's artifacts, and encode its texts with its frozen CLIP; no image is read.

    Raises `LatteError` if a file is missing or damaged.
    """
    files = FinishedRun(workspace.folder)
    _refuse_incomplete(workspace)
    prototypes, names = load_classifiers(files), files.class_names
    zero_shot = load_zero_shot(workspace.folder.zero_shot)
    refuse_other_width(files, prototypes, zero_shot.class_features.shape[1])
    adapted = files.pseudo_labels.adapted
    test_labels = torch.tensor(files.labelled_images.labels, dtype=torch.int64)
    _refuse_misfits(workspace.folder, len(names), zero_shot, adapted, test_labels)
    measured, _ = split_rows(read_own_images(files), files.labelled_images.keys)
    return Subject(
        run=run,
        class_names=names,
        zero_shot=zero_shot,
        logit_scale=float(workspace.frozen_clip.logit_scale.detach()),
        adapted_labels=torch.tensor(adapted),
        prototypes=prototypes,
        verdict=files.verdict,
        texts=_texts(workspace, names, zero_shot),
        test_labels=test_labels[measured],
        test_features=zero_shot.evaluation[measured],
        evaluations=files.evaluations,
    )


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


def _texts(workspace: Workspace, class_names: tuple[str, ...], zero_shot: ZeroShot) -> Texts:
    template = workspace.dataset.template
    kinds = build_descriptions(workspace, template)
    path = workspace.folder.descriptions
    bank = DescriptionBank.load(path, class_names, template, kinds)
    same_count(path, "training images", [len(bank), len(zero_shot.training)])
    return Texts(
        features=FrozenTexts(workspace, bank).every().cpu(),
        rows={name: bank.own_rows(name)[:, 0] for name in kinds},
        answered={name: column.answered() for name, column in bank.columns.items()},
        leaking=frozenset(
            name
            for name in bank.columns
            if len({tuple(kinds[name].prompts(class_name)) for class_name in class_names}) > 1
        ),
        classifier=zero_shot.classifier,
        weights={name: kind.weight for name, kind in kinds.items()},
    )


def _refuse_misfits(
    folder: RunFolder,
    classes: int,
    zero_shot: ZeroShot,
    adapted: Sequence[int],
    test_labels: Tensor,
) -> None:
    """Raise `LatteError` if files of one run differ in their numbers of images or classes."""
    path = folder.zero_shot
    same_count(path, "training images", [len(zero_shot.training), len(adapted)])
    same_count(path, "test images", [len(zero_shot.evaluation), len(test_labels)])
    same_count(path, "classes", [len(zero_shot.class_features), classes])
