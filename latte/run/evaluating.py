"""Stage `evaluate`: how good the adapted model is, and what it says about every image."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from latte import processes
from latte.backbone.encode import encode_cached_images
from latte.data.cache import ImageCache
from latte.evaluate.metrics import evaluate_predictions, to_json
from latte.evaluate.predictions import Prediction, predict_rows, write_predictions
from latte.evaluate.similarities import Similarities
from latte.files import write_atomically, write_json
from latte.interfaces import Classifier, Evaluation, Progress
from latte.run.adapted import Adapted
from latte.run.calibrating import calibrate, write_calibration
from latte.run.folder import RunFolder
from latte.run.guarding import is_held_back
from latte.run.images import Images
from latte.run.stored import explained
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

_PSEUDO_LABELS = ("image", "zero_shot", "adapted")


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
        adapted.in_blocks([features] * len(adapted.members))
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
    calibration = calibrate(workspace, zero_shot, adapted.logit_scale, similarities, images.labels)
    write_calibration(folder, calibration)
    _write_pseudo_labels(folder.pseudo_labels, images, zero_shot, similarities[0])
    top_k = workspace.recipe.evaluate.top_k
    rows = _predictions(images, similarities[1], calibration.scale, top_k)
    write_predictions(folder.predictions, rows)
    return [folder.evaluation, folder.calibration, folder.pseudo_labels, folder.predictions]


def adapted_similarities(
    workspace: Workspace, adapted: Adapted, images: ImageCache, progress: Progress, name: str
) -> Similarities:
    """Similarities of all images, averaged over the learners."""
    size = workspace.recipe.evaluate.batch_size
    features = [
        encode_cached_images(member.backbone, images, size, progress, name)
        if len(images)
        else torch.empty(0, member.backbone.embedding_width)
        for member in adapted.members
    ]
    return adapted.in_blocks(features)


def compare(images: Images, zero_shot: ZeroShot, adapted: Similarities) -> list[Evaluation]:
    """Zero-shot and adapted accuracy on the same labelled images."""
    labels = torch.tensor(images.labels)
    owners = torch.arange(len(images.class_names))
    texts, features = Classifier(zero_shot.class_features, owners), zero_shot.evaluation
    before = Similarities(
        len(features), len(owners), lambda rows: texts.similarities(features[rows])
    )
    right = before.labels() == labels
    return [
        evaluate_predictions("zero-shot", before, labels, None),
        evaluate_predictions("adapted", adapted, labels, right),
    ]


def read_pseudo_labels(folder: RunFolder, class_names: Sequence[str]) -> PseudoLabels:
    """What stage `evaluate` said about the training images.

    Raises `LatteError` for a damaged file, or one about other classes.
    """
    index_of = {name: index for index, name in enumerate(class_names)}
    with (
        explained(folder.pseudo_labels),
        folder.pseudo_labels.open(encoding="utf-8", newline="") as file,
    ):
        rows = csv.reader(file, strict=True)
        if next(rows, None) != list(_PSEUDO_LABELS):
            raise ValueError("its first line does not name its columns")
        pairs = ((frozen, adapted) for _, frozen, adapted in rows)
        labels = array("l", (index_of[name] for pair in pairs for name in pair))
    return PseudoLabels(tuple(labels[::2]), tuple(labels[1::2]))


def _predictions(
    images: Images, similarities: Similarities, scale: float, top_k: int
) -> Iterator[Prediction]:
    """The rows of `predictions.csv`; no more of them exist at once than a block has."""
    ids = iter(image.id for image in images.evaluation.images)
    for block in similarities:
        yield from predict_rows(
            [*islice(ids, len(block))],
            block,
            images.class_names,
            logit_scale=scale,
            top_k=top_k,
        )


def _write_pseudo_labels(
    path: Path, images: Images, zero_shot: ZeroShot, similarities: Similarities
) -> None:
    names = images.class_names
    frozen, adapted = zero_shot.frozen_labels.tolist(), similarities.labels().tolist()
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_PSEUDO_LABELS)
        for image, before, after in zip(images.training.images, frozen, adapted, strict=True):
            writer.writerow((image.id, names[before], names[after]))


def _trains_images(workspace: Workspace) -> bool:
    """Whether image features can differ from the frozen CLIP's.

    They cannot without a step, and not where nothing but prototypes moves.
    """
    recipe = workspace.recipe
    trains = any(learner.settings.trainable != "none" for learner in recipe.learners)
    return trains and recipe.train.takes_steps
