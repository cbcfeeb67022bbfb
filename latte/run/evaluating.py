"""Stage `evaluate`: how good the adapted model is, and what it says about every image."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte import processes
from latte.backbone.encode import encode_cached_images
from latte.data.cache import ImageCache
from latte.evaluate.metrics import evaluate_ranks, label_ranks, to_json
from latte.evaluate.predictions import Columns, Prediction, predict_rows, write_predictions
from latte.evaluate.similarities import Similarities
from latte.files import write_atomically, write_json
from latte.interfaces import OWN_IMAGES, Classifier, Evaluation, Progress
from latte.run.adapted import Adapted
from latte.run.calibrating import calibrate, write_calibration
from latte.run.folder import RunFolder
from latte.run.guarding import is_held_back
from latte.run.images import Images
from latte.run.posterior import OwnImages, read_own_images
from latte.run.stored import explained
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

_PSEUDO_LABELS = ("image", "zero_shot", "adapted", "confidence")


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
    own = read_own_images(folder, len(images.class_names))
    evaluations = compare(images, zero_shot, similarities[1], own) if images.labels else []
    write_json(folder.evaluation, [to_json(one) for one in evaluations])
    calibration = calibrate(workspace, zero_shot, adapted.logit_scale, similarities, images.labels)
    write_calibration(folder, calibration)
    answers = (
        _classified(similarities[0], calibration.scale)
        if own is None
        else (own.posterior.labels[:, 0], own.posterior.probabilities[:, 0])
    )
    _write_pseudo_labels(folder.pseudo_labels, images, zero_shot, *answers)
    top_k = workspace.recipe.evaluate.top_k
    rows = _predictions(images, similarities[1], calibration.scale, top_k, own)
    columns = Columns(min(top_k, len(images.class_names)), own is not None)
    write_predictions(folder.predictions, rows, columns=columns)
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


def compare(
    images: Images, zero_shot: ZeroShot, adapted: Similarities, own: OwnImages | None
) -> list[Evaluation]:
    """Zero-shot and adapted accuracy on the same labelled images.

    Where `own` answers some of them, these are measured apart, and the classifier on the others;
    where it answers all, the classifier is measured on all, as new images will be given to it.
    """
    labels = torch.tensor(images.labels)
    owners = torch.arange(len(images.class_names))
    texts, features = Classifier(zero_shot.class_features, owners), zero_shot.evaluation
    before = Similarities(
        len(features), len(owners), lambda rows: texts.similarities(features[rows])
    )
    ranks = [
        label_ranks(name, found, labels)
        for name, found in (("zero-shot", before), ("adapted", adapted))
    ]
    measured, answered = split_rows(own, images.evaluation.keys)
    pairs = [("", measured, [one[measured] for one in ranks])]
    if own is not None and len(answered):
        places = torch.tensor([row for row in own.rows(images.evaluation.keys) if row is not None])
        by_posterior = own.ranks(places, labels[answered], len(owners))
        pairs.append((OWN_IMAGES, answered, [ranks[0][answered], by_posterior]))
    return [
        evaluate_ranks(f"{name}{suffix}", found, labels[rows], len(owners), baseline)
        for suffix, rows, (first, second) in pairs
        for name, found, baseline in (("zero-shot", first, None), ("adapted", second, first == 0))
    ]


def split_rows(own: OwnImages | None, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Rows of the test images that the classifier is measured on, and of those that `own` answers.

    `keys` are of all test images. The classifier is measured on all if there are no others.
    """
    known = [False] * len(keys) if own is None else [row is not None for row in own.rows(keys)]
    answered = torch.tensor(known, dtype=torch.bool)
    measured = ~answered if not bool(answered.all()) else torch.ones_like(answered)
    return measured.nonzero().flatten(), answered.nonzero().flatten()


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
        labels = array("l")
        for _, frozen, adapted, confidence in rows:
            if not 0 <= float(confidence) <= 1:
                raise ValueError("a confidence is not between 0 and 1")
            labels.extend((index_of[frozen], index_of[adapted]))
    return PseudoLabels(tuple(labels[::2]), tuple(labels[1::2]))


def _predictions(
    images: Images, similarities: Similarities, scale: float, top_k: int, own: OwnImages | None
) -> Iterator[Prediction]:
    """The rows of `predictions.csv`; no more of them exist at once than a block has."""
    scan, names = images.evaluation, images.class_names
    first = 0
    for block in similarities:
        ids = [image.id for image in scan.images[first : first + len(block)]]
        keys = scan.keys[first : first + len(block)]
        first += len(block)
        rows = predict_rows(ids, block, names, logit_scale=scale, top_k=top_k)
        yield from own.replace(rows, keys, names, top_k) if own else rows


def _classified(similarities: Similarities, scale: float) -> tuple[Tensor, Tensor]:
    """The classifier's class (N,) of each image, and its calibrated probability (N,)."""
    labels, confidences = [], []
    for block in similarities:
        labels.append(block.argmax(dim=1))
        confidences.append((block.float() * scale).softmax(dim=1).amax(dim=1))
    return torch.cat(labels), torch.cat(confidences)


def _write_pseudo_labels(
    path: Path, images: Images, zero_shot: ZeroShot, labels: Tensor, confidences: Tensor
) -> None:
    names = images.class_names
    columns = (zero_shot.frozen_labels.tolist(), labels.tolist(), confidences.tolist())
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_PSEUDO_LABELS)
        for image, before, after, confidence in zip(images.training.images, *columns, strict=True):
            sure = round(min(1.0, confidence), 6)
            writer.writerow((image.id, names[before], names[after], sure))


def _trains_images(workspace: Workspace) -> bool:
    """Whether image features can differ from the frozen CLIP's.

    They cannot without a step, and not where nothing but prototypes moves.
    """
    recipe = workspace.recipe
    trains = any(learner.settings.trainable != "none" for learner in recipe.learners)
    return trains and recipe.train.takes_steps
