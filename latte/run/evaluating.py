"""Stage `evaluate`: how good the adapted model is, and what it says about every image."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.encode import encode_cached_images
from latte.data.cache import ImageCache
from latte.evaluate.metrics import evaluate_ranks, label_ranks, to_json
from latte.evaluate.predictions import Columns, Prediction, predict_rows, write_predictions
from latte.evaluate.similarities import Similarities
from latte.interfaces import OWN_IMAGES, Classifier, Evaluation, Progress
from latte.io.files import write_atomically, write_json
from latte.results.folder import RunFolder
from latte.results.stored import explained
from latte.run.adapted import Adapted
from latte.run.calibrating import calibrate, write_calibration
from latte.run.images import Images
from latte.run.judging import Outcome, trains_clip
from latte.run.posterior import OwnImages, read_own_images
from latte.run.present import write_present
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

MOST_CLASSES = 5
"""The likeliest classes of a training image by which the classes that occur are estimated."""
_PSEUDO_LABELS = ("image", "zero_shot", "adapted", "confidence")


@dataclass(frozen=True)
class PseudoLabels:
    """Classes of the training images, by the frozen and by the adapted model."""

    frozen: tuple[int, ...]
    adapted: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """What is measured on the evaluation split."""

    similarities: Similarities
    """(M, C)"""
    own: OwnImages | None
    """The posterior that belongs to the classifier; None where it has none."""


@dataclass(frozen=True)
class _Classified:
    """One classifier's similarities."""

    logit_scale: float
    training: Similarities
    """(N, C)"""
    evaluation: Measured


def evaluate(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, outcome: Outcome
) -> list[Path]:
    """Measure the adapted model against zero-shot, and label every image with it.

    A candidate that was not taken as a whole is measured too, and labels the training images.
    """
    folder = workspace.folder
    trained, rejected = trains_clip(workspace), outcome.rejected
    models = [(outcome.adapted, trained and rejected is None)]
    models += [(rejected, trained)] if rejected else []
    found = [
        (model, _similarities(workspace, images, zero_shot, model, outcome.features, encodes))
        for model, encodes in models
    ]
    if not distributed.is_main_process():
        return []
    classes = len(images.class_names)
    owned = [read_own_images(folder, classes, candidate=model is rejected) for model, _ in models]
    taken, *others = (
        _Classified(model.logit_scale, training, Measured(evaluation, own))
        for (model, (training, evaluation)), own in zip(found, owned, strict=True)
    )
    candidate = others[0] if others else None
    evaluations = (
        compare(images, zero_shot, *(one.evaluation for one in (taken, *others)))
        if images.labels
        else []
    )
    write_json(folder.evaluation, [to_json(one) for one in evaluations])
    if candidate is not None:
        _label_training(workspace, folder.candidate, images, zero_shot, candidate)
    scale, answers = _label_training(workspace, folder, images, zero_shot, taken)
    write_present(folder, answers.likeliest, answers.probabilities, images.class_names)
    top_k = workspace.recipe.evaluate.top_k
    rows = _predictions(images, taken.evaluation, scale, top_k)
    columns = Columns(min(top_k, classes), taken.evaluation.own is not None)
    write_predictions(folder.predictions, rows, columns=columns)
    of_candidate = (folder.candidate.calibration, folder.candidate.pseudo_labels)
    return [
        *(folder.evaluation, folder.calibration, folder.pseudo_labels),
        *(folder.present, folder.predictions),
        *(of_candidate if candidate else ()),
    ]


def _similarities(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    adapted: Adapted,
    features: Sequence[Tensor] | None,
    encodes: bool,
) -> tuple[Similarities, Similarities]:
    """Of the training and of the evaluation images, from frozen features or as `adapted` `encodes`.

    `features` of the training images are not encoded again.
    """
    if not encodes:
        every = len(adapted.members)
        frozen = (zero_shot.training, zero_shot.evaluation)
        training, evaluation = (adapted.in_blocks([one] * every) for one in frozen)
        return training, evaluation
    progress = workspace.progress
    return (
        adapted_similarities(workspace, adapted, images.training.cache, progress, "label images")
        if features is None
        else adapted.in_blocks(features),
        adapted_similarities(
            workspace, adapted, images.evaluation.cache, progress, "label test images"
        ),
    )


def _label_training(
    workspace: Workspace,
    folder: RunFolder,
    images: Images,
    zero_shot: ZeroShot,
    found: _Classified,
) -> tuple[float, _Answers]:
    """Write `calibration.json` and `pseudo_labels.csv`; returns the scale and the answers."""
    similarities = (found.training, found.evaluation.similarities)
    calibration = calibrate(workspace, zero_shot, found.logit_scale, similarities, images.labels)
    write_calibration(folder, calibration)
    answers = _answers(found, calibration.scale)
    _write_pseudo_labels(folder.pseudo_labels, images, zero_shot, answers)
    return calibration.scale, answers


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
    images: Images, zero_shot: ZeroShot, adapted: Measured, candidate: Measured | None = None
) -> list[Evaluation]:
    """Zero-shot and adapted accuracy on the same labelled images, and the candidate's beside it.

    Where a posterior answers some of them, these are measured apart, and the classifier on the
    others; where it answers all, the classifier is measured on all, as new images will be given to
    it. A run with a `candidate` apart has no posterior, and its classifiers are measured on all.
    """
    labels = torch.tensor(images.labels)
    owners = torch.arange(len(images.class_names))
    texts, features = Classifier(zero_shot.class_features, owners), zero_shot.evaluation
    before = Similarities(
        len(features), len(owners), lambda rows: texts.similarities(features[rows])
    )
    found = {"zero-shot": before, "adapted": adapted.similarities}
    if candidate is not None:
        found["candidate"] = candidate.similarities
    ranks = {name: label_ranks(name, one, labels) for name, one in found.items()}
    measured, _ = split_rows(adapted.own, images.evaluation.keys)
    groups = [("", measured, {name: one[measured] for name, one in ranks.items()})]
    last, own = [*ranks][-1], (candidate or adapted).own
    _, answered = split_rows(own, images.evaluation.keys)
    if own is not None and len(answered):
        places = torch.tensor([row for row in own.rows(images.evaluation.keys) if row is not None])
        by_posterior = own.ranks(places, labels[answered], len(owners))
        both = {"zero-shot": ranks["zero-shot"][answered], last: by_posterior}
        groups.append((OWN_IMAGES, answered, both))
    return [
        evaluate_ranks(
            f"{name}{suffix}",
            one,
            labels[rows],
            len(owners),
            None if name == "zero-shot" else of["zero-shot"] == 0,
        )
        for suffix, rows, of in groups
        for name, one in of.items()
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


def _predictions(images: Images, found: Measured, scale: float, top_k: int) -> Iterator[Prediction]:
    """The rows of `predictions.csv`; no more of them exist at once than a block has."""
    scan, names, own = images.evaluation, images.class_names, found.own
    first = 0
    for block in found.similarities:
        ids = [image.id for image in scan.images[first : first + len(block)]]
        keys = scan.keys[first : first + len(block)]
        first += len(block)
        rows = predict_rows(ids, block, names, logit_scale=scale, top_k=top_k)
        yield from own.replace(rows, keys, names, top_k) if own else rows


@dataclass(frozen=True)
class _Answers:
    """Classes of the training images."""

    labels: Tensor
    """(N,): of equally likely classes the first."""
    confidences: Tensor
    """(N,)"""
    likeliest: Tensor
    """(N, K): the `MOST_CLASSES` likeliest classes, or all."""
    probabilities: Tensor
    """(N, K): theirs."""


def _answers(found: _Classified, scale: float) -> _Answers:
    """What the posterior says, or else the classifier with calibrated probabilities."""
    own = found.evaluation.own
    if own is not None:
        labels = own.posterior.labels[:, :MOST_CLASSES]
        probabilities = own.posterior.probabilities[:, :MOST_CLASSES]
        return _Answers(labels[:, 0], probabilities[:, 0], labels, probabilities)
    columns: list[tuple[Tensor, ...]] = []
    for block in found.training:
        shares = (block.float() * scale).softmax(dim=1)
        best = shares.topk(min(MOST_CLASSES, shares.shape[1]), dim=1)
        columns.append((block.argmax(dim=1), shares.amax(dim=1), best.indices, best.values))
    return _Answers(*(torch.cat(parts) for parts in zip(*columns, strict=True)))


def _write_pseudo_labels(
    path: Path, images: Images, zero_shot: ZeroShot, answers: _Answers
) -> None:
    names = images.class_names
    found = (zero_shot.zero_shot_labels, answers.labels, answers.confidences)
    columns = [one.tolist() for one in found]
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_PSEUDO_LABELS)
        for image, before, after, confidence in zip(images.training.images, *columns, strict=True):
            sure = round(min(1.0, confidence), 6)
            writer.writerow((image.id, names[before], names[after], sure))
