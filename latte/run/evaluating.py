"""Stage `evaluate`: how good the adapted model is, and what it says about every image."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte import processes
from latte.backbone.encode import encode_cached_images
from latte.data.cache import ImageCache
from latte.evaluate.metrics import evaluate_predictions, from_json, to_json
from latte.evaluate.predictions import predict_rows, write_predictions
from latte.files import write_atomically, write_json
from latte.interfaces import Classifier, Evaluation, Progress
from latte.run.adapted import Adapted
from latte.run.folder import RunFolder
from latte.run.guarding import is_held_back
from latte.run.images import Images
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot


@dataclass(frozen=True)
class PseudoLabels:
    """Classes of the training images, by the frozen and by the adapted model."""

    frozen: tuple[int, ...]
    adapted: tuple[int, ...]


def evaluate(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, adapted: Adapted
) -> list[Path]:
    """Measure the adapted model against zero-shot, and label every image with it."""
    folder, progress = workspace.folder, workspace.progress
    unchanged = not _trains_images(workspace) or is_held_back(folder)
    similarities = [
        adapted.similarities([features] * len(adapted.members))
        if unchanged
        else adapted_similarities(workspace, adapted, cache, progress, name)
        for features, cache, name in (
            (zero_shot.training, images.training.cache, "label images"),
            (zero_shot.evaluation, images.evaluation.cache, "label test images"),
        )
    ]
    if not processes.is_first():
        return []
    evaluations = compare(images, zero_shot, similarities[1]) if images.labels else []
    write_json(folder.evaluation, [to_json(one) for one in evaluations])
    _write_pseudo_labels(folder.pseudo_labels, images, zero_shot, similarities[0])
    rows = predict_rows(
        [image.id for image in images.evaluation.images],
        similarities[1],
        images.class_names,
        logit_scale=adapted.logit_scale,
        top_k=workspace.recipe.evaluate.top_k,
    )
    write_predictions(folder.predictions, rows)
    return [folder.evaluation, folder.pseudo_labels, folder.predictions]


def adapted_similarities(
    workspace: Workspace, adapted: Adapted, images: ImageCache, progress: Progress, name: str
) -> Tensor:
    """(N, C) similarities of all images, averaged over the learners."""
    size = workspace.recipe.evaluate.batch_size
    features = [
        encode_cached_images(member.backbone, images, size, progress, name)
        if len(images)
        else torch.empty(0, member.backbone.embedding_width)
        for member in adapted.members
    ]
    return adapted.similarities(features)


def compare(images: Images, zero_shot: ZeroShot, adapted: Tensor) -> list[Evaluation]:
    """Zero-shot and adapted accuracy on the same labelled images."""
    labels = torch.tensor(images.labels)
    owners = torch.arange(len(images.class_names))
    before = Classifier(zero_shot.class_features, owners).similarities(zero_shot.evaluation)
    right = before.argmax(dim=1) == labels
    return [
        evaluate_predictions("zero-shot", before, labels, None),
        evaluate_predictions("adapted", adapted, labels, right),
    ]


def read_evaluations(folder: RunFolder) -> list[Evaluation]:
    """What stage `evaluate` measured."""
    rows = json.loads(folder.evaluation.read_text(encoding="utf-8"))
    return [from_json(row) for row in rows]


def read_pseudo_labels(folder: RunFolder, class_names: Sequence[str]) -> PseudoLabels:
    """What stage `evaluate` said about the training images."""
    index_of = {name: index for index, name in enumerate(class_names)}
    with folder.pseudo_labels.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return PseudoLabels(
        tuple(index_of[row["zero_shot"]] for row in rows),
        tuple(index_of[row["adapted"]] for row in rows),
    )


def _write_pseudo_labels(
    path: Path, images: Images, zero_shot: ZeroShot, similarities: Tensor
) -> None:
    names = images.class_names
    frozen, adapted = zero_shot.frozen_labels.tolist(), similarities.argmax(dim=1).tolist()
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(("image", "zero_shot", "adapted"))
        for image, before, after in zip(images.training.images, frozen, adapted, strict=True):
            writer.writerow((image.id, names[before], names[after]))


def _trains_images(workspace: Workspace) -> bool:
    """Whether image features can differ from the frozen CLIP's.

    They cannot without a step, and not where nothing but prototypes moves.
    """
    recipe = workspace.recipe
    trains = any(learner.settings.trainable != "none" for learner in recipe.learners)
    return trains and recipe.train.max_steps > 0 and recipe.train.max_epochs > 0
