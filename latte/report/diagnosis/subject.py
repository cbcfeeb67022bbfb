"""Read finished runs for diagnosis, and share frozen CLIPs and text features between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.backbone.encode import encode_many_texts
from latte.describe.bank import DescriptionBank
from latte.interfaces import Backbone, Classifier, Evaluation, LatteError, Progress, Verdict
from latte.registry.registry import Registry
from latte.report.diagnosis.descriptions import Texts
from latte.results.finished import FinishedRun
from latte.results.folder import RunFolder
from latte.results.stored import same_count
from latte.results.summary import Run
from latte.run.adapted import load_classifiers, refuse_other_width
from latte.run.describing import build_descriptions
from latte.run.measuring import split_rows
from latte.run.posterior import read_own_images
from latte.run.reopen import open_workspace
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot, load_zero_shot

_NEEDED = ("describe", "train")
"""Stages whose files are read, in addition to the files that every comparison needs."""


class FrozenClip:
    """A frozen CLIP that caches the features of all texts that it encodes."""

    def __init__(self, backbone: Backbone) -> None:
        self.logit_scale = float(backbone.logit_scale.detach())
        self._backbone = backbone
        self._features: dict[str, Tensor] = {}

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """Return unit features (M, D) of M texts, on the CPU, without gradient."""
        new = [text for text in dict.fromkeys(texts) if text not in self._features]
        if new:
            self._encode(new, progress)
        if not texts:
            return torch.empty(0, self._backbone.embedding_width)
        return torch.stack([self._features[text] for text in texts])

    def _encode(self, texts: Sequence[str], progress: Progress) -> None:
        rows = encode_many_texts(self._backbone, texts, progress, "encode texts")
        self._features.update(zip(texts, rows, strict=True))


class FrozenClips:
    """The frozen CLIPs of runs. Runs with equal backbone, recipe folder and device share a CLIP."""

    def __init__(self) -> None:
        self._clips: dict[tuple[str, str, str], FrozenClip] = {}

    def of(self, workspace: Workspace) -> FrozenClip:
        """Return the frozen CLIP that a run started from."""
        recipe = workspace.recipe
        key = (workspace.backbone.identity(), str(recipe.base_dir), workspace.device)
        if key not in self._clips:
            self._clips[key] = FrozenClip(workspace.frozen_clip)
        return self._clips[key]


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


def read_subject(run: Run, registry: Registry, progress: Progress, clips: FrozenClips) -> Subject:
    """Read a run's artifacts, and encode its texts with its frozen CLIP; no image is read.

    Raises `LatteError` if a file is missing or damaged.
    """
    workspace = open_workspace(run.folder, registry, progress)
    files = FinishedRun(workspace.folder)
    _refuse_incomplete(workspace)
    prototypes, names = load_classifiers(files), files.class_names
    zero_shot = load_zero_shot(workspace.folder.zero_shot)
    refuse_other_width(files, prototypes, zero_shot.class_features.shape[1])
    adapted = files.pseudo_labels.adapted
    test_labels = torch.tensor(files.labelled_images.labels, dtype=torch.int64)
    _refuse_misfits(workspace.folder, len(names), zero_shot, adapted, test_labels)
    measured, _ = split_rows(read_own_images(files), files.labelled_images.keys)
    clip = clips.of(workspace)
    return Subject(
        run=run,
        class_names=names,
        zero_shot=zero_shot,
        logit_scale=clip.logit_scale,
        adapted_labels=torch.tensor(adapted),
        prototypes=prototypes,
        verdict=files.verdict,
        texts=_texts(workspace, names, zero_shot, clip),
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


def _texts(
    workspace: Workspace, class_names: tuple[str, ...], zero_shot: ZeroShot, clip: FrozenClip
) -> Texts:
    template = workspace.dataset.template
    kinds = build_descriptions(workspace, template)
    path = workspace.folder.descriptions
    bank = DescriptionBank.load(path, class_names, template, kinds)
    same_count(path, "training images", [len(bank), len(zero_shot.training)])
    return Texts(
        features=clip.encode(bank.unique_texts, workspace.progress),
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
