"""Stage `evaluate`: measure the adapted model, and label all images with it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.evaluate.calibration import (
    calibration_error,
    expected_accuracy,
    matching_exponent,
    matching_scale,
)
from latte.evaluate.metrics import evaluate_ranks, label_ranks
from latte.evaluate.predictions import (
    ClassScore,
    Columns,
    Prediction,
    predict_rows,
    stream_predictions,
    write_predictions,
)
from latte.evaluate.priors import present_classes
from latte.evaluate.similarities import Similarities
from latte.interfaces import OWN_IMAGES, Calibration, Evaluation, PresentNames
from latte.interfaces.record import EvaluateFacts
from latte.io.files import write_atomically
from latte.results.folder import RunFolder
from latte.results.rows import PSEUDO_LABEL_COLUMNS
from latte.results.run import Run
from latte.run.adapted import Adapted
from latte.run.images import Images
from latte.run.judging import Outcome, trains_clip
from latte.run.posterior import OwnImages, read_own_images
from latte.run.result import StageResult
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

LEAST_CERTAIN = 200
"""Number of training images in `uncertain.jsonl`: the images with the lowest confidence."""
MOST_CLASSES = 5
"""Number of most probable classes per training image that show which classes occur."""
_ENOUGH = 10_000
"""Number of training images that suffice for calibration; with more images it only takes longer."""
_MOST_NUMBERS = 2**25
"""Largest number of similarities (images times classes) that are used for calibration."""


@dataclass(frozen=True)
class Measured:
    """One classifier's similarities (M, C) for M evaluation images, and the posterior, if any."""

    similarities: Similarities
    own: OwnImages | None
    """Posterior (class probabilities) of the training images; None if there is none."""

    def calibrated_own(self, calibration: Calibration) -> OwnImages | None:
        """Return the posterior after calibration, or None if there is no posterior."""
        return None if self.own is None else replace(self.own, exponent=calibration.own_exponent)


@dataclass(frozen=True)
class _Classified:
    logit_scale: float
    training: Similarities
    evaluation: Measured


@dataclass(frozen=True)
class _Answers:
    """Predicted classes of the N training images."""

    labels: Tensor
    """(N,): the most probable class."""
    likeliest: Tensor
    """(N, K): the K = `MOST_CLASSES` most probable classes, or all."""
    probabilities: Tensor
    """(N, K): their probabilities, which are not calibrated if there is a posterior."""
    confidences: Tensor
    """(N, K): their calibrated probabilities."""

    def corrected(self, given: Tensor) -> _Answers:
        """Replace predictions by classes that a person gave, except where `given` (N,) is -1."""
        known = given >= 0
        first = torch.zeros_like(self.probabilities)
        first[:, 0] = 1
        return _Answers(
            given.where(known, self.labels),
            given.unsqueeze(1).where(known.unsqueeze(1), self.likeliest),
            first.where(known.unsqueeze(1), self.probabilities),
            first.where(known.unsqueeze(1), self.confidences),
        )


def evaluate(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, outcome: Outcome
) -> StageResult:
    """Measure all models, label all images, and return the written files and the measurements.

    A candidate that the guard did not accept in full is measured too, and labels the training
    images.
    """
    folder, run = workspace.folder, Run(workspace.folder)
    trained, rejected = trains_clip(workspace), outcome.rejected
    models = [(outcome.adapted, trained and rejected is None)]
    models += [(rejected, trained)] if rejected else []
    found = [
        (model, _similarities(workspace, images, zero_shot, model, outcome.features, encodes))
        for model, encodes in models
    ]
    if not distributed.is_main_process():
        return StageResult([])
    taken, *others = (
        _Classified(
            model.logit_scale,
            training,
            Measured(evaluation, read_own_images(run, candidate=model is rejected)),
        )
        for model, (training, evaluation) in found
    )
    measured = [one.evaluation for one in (taken, *others)]
    evaluations = compare(images, zero_shot, *measured) if images.labels else []
    apart = [
        _label_training(workspace, folder.candidate, images, zero_shot, candidate)[0]
        for candidate in others
    ]
    calibration, answers = _label_training(workspace, folder, images, zero_shot, taken)
    # Rounding puts some probabilities above 1.
    shares, names = answers.probabilities.clamp(max=1), images.class_names
    present = present_classes(answers.likeliest, shares, len(names))
    unsupported = tuple(names[label] for label in present.unsupported)
    _write_uncertain(folder.uncertain, answers, images)
    top_k = workspace.recipe.evaluate.top_k
    rows = _predictions(images, zero_shot, taken.evaluation, calibration, top_k)
    columns = Columns(min(top_k, len(images.class_names)), true_class=True, zero_shot=True)
    write_predictions(folder.predictions, rows, columns=columns)
    facts = EvaluateFacts(
        evaluations=tuple(evaluations),
        calibration=calibration,
        candidate_calibration=apart[0] if apart else None,
        present=PresentNames(present.expected, *present.interval, unsupported),
    )
    written = [folder.pseudo_labels, folder.uncertain, folder.predictions]
    return StageResult([*written, *([folder.candidate.pseudo_labels] if others else [])], facts)


def compare(
    images: Images, zero_shot: ZeroShot, adapted: Measured, candidate: Measured | None = None
) -> list[Evaluation]:
    """Measure zero-shot CLIP, the adapted model, and the `candidate` if there is one.

    The posterior is measured on the test images that are also training images, and the classifiers
    on the other test images; see `split_rows`. With a `candidate`, only the candidate can have a
    posterior, and the classifiers are measured on all test images.
    """
    labels, classes = torch.tensor(images.labels), len(images.class_names)
    texts, features = zero_shot.classifier, zero_shot.evaluation
    before = Similarities(len(features), classes, lambda rows: texts.similarities(features[rows]))
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
        by_posterior = own.ranks(places, labels[answered], classes)
        both = {"zero-shot": ranks["zero-shot"][answered], last: by_posterior}
        groups.append((OWN_IMAGES, answered, both))
    return [
        evaluate_ranks(
            f"{name}{suffix}",
            one,
            labels[rows],
            classes,
            None if name == "zero-shot" else of["zero-shot"] == 0,
        )
        for suffix, rows, of in groups
        for name, one in of.items()
    ]


def split_rows(own: OwnImages | None, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the indices of test images for measuring the classifier, and for the posterior.

    The posterior is measured on the test images that are also training images. The classifier is
    measured on the other test images, or on all if there are no others. `keys` are the content
    hashes of the test images.
    """
    known = [False] * len(keys) if own is None else [row is not None for row in own.rows(keys)]
    answered = torch.tensor(known, dtype=torch.bool)
    measured = ~answered if not bool(answered.all()) else torch.ones_like(answered)
    return measured.nonzero().flatten(), answered.nonzero().flatten()


def _similarities(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    adapted: Adapted,
    features: Sequence[Tensor] | None,
    encodes: bool,
) -> tuple[Similarities, Similarities]:
    """Return the similarities of the training images and of the evaluation images.

    If `encodes` is false, the frozen CLIP's features are used.
    """
    if not encodes:
        every = len(adapted.members)
        frozen = (zero_shot.training, zero_shot.evaluation)
        training, evaluation = (adapted.in_blocks([one] * every) for one in frozen)
        return training, evaluation
    size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
    if features is None:
        features = adapted.encode(images.training.cache, size, progress, "label images")
    tested = adapted.encode(images.evaluation.cache, size, progress, "label test images")
    return adapted.in_blocks(features), adapted.in_blocks(tested)


def _label_training(
    workspace: Workspace, folder: RunFolder, images: Images, zero_shot: ZeroShot, found: _Classified
) -> tuple[Calibration, _Answers]:
    calibration = _calibrate(workspace, images, zero_shot, found)
    answers = _answers(found, calibration)
    if images.corrections is not None:
        answers = answers.corrected(images.corrections.given)
    _write_pseudo_labels(folder.pseudo_labels, images, zero_shot, answers)
    return calibration, answers


def _calibrate(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, found: _Classified
) -> Calibration:
    """Calibrate the scale of the classifier and the exponent of the posterior without labels.

    After calibration, the mean confidence equals the expected accuracy, which is estimated from the
    zero-shot probabilities of the predicted classes. Images whose class a person gave are left out,
    unless there are no others.
    """
    enough = min(_ENOUGH, max(1, _MOST_NUMBERS // found.training.classes))
    every = -(-found.training.images // enough)
    rows = slice(None, None, every)
    kept = torch.ones(found.training.images, dtype=torch.bool)[rows]
    if images.corrections is not None:
        free = images.corrections.given[rows] < 0
        kept = free if bool(free.any()) else kept
    training = found.training.block(rows)[kept]
    frozen = zero_shot.training[rows] @ zero_shot.class_features.T
    frozen_scale = float(workspace.frozen_clip.logit_scale.detach())
    before = (frozen * frozen_scale).softmax(dim=1)[kept]
    expected = expected_accuracy(before, training.argmax(dim=1))
    scale = matching_scale(training, expected, found.logit_scale)
    calibration = Calibration(scale, found.logit_scale, expected, len(training))
    own = found.evaluation.own
    # With one stored class per image, the probabilities of all other classes are unknown.
    if own is not None and own.posterior.labels.shape[1] > 1:
        likeliest, probabilities = (one[rows][kept] for one in vars(own.posterior).values())
        wanted = expected_accuracy(before, likeliest[:, 0])
        exponent = matching_exponent(probabilities, wanted)
        calibration = replace(calibration, own_exponent=exponent)
    if not images.labels:
        return calibration
    similarities, errors = found.evaluation.similarities, []
    right = similarities.labels() == torch.tensor(images.labels)
    for one in (scale, found.logit_scale):
        confidence = [(block * one).softmax(dim=1).amax(dim=1) for block in similarities]
        errors.append(calibration_error(torch.cat(confidence), right))
    return replace(calibration, error=errors[0], uncalibrated_error=errors[1])


def _answers(found: _Classified, calibration: Calibration) -> _Answers:
    own = found.evaluation.calibrated_own(calibration)
    if own is not None:
        every = (own.posterior.labels, own.posterior.probabilities, own.confidences)
        labels, probabilities, confidences = (one[:, :MOST_CLASSES] for one in every)
        return _Answers(labels[:, 0], labels, probabilities, confidences)
    columns: list[tuple[Tensor, ...]] = []
    for block in found.training:
        shares = (block.float() * calibration.scale).softmax(dim=1)
        best = shares.topk(min(MOST_CLASSES, shares.shape[1]), dim=1)
        columns.append((block.argmax(dim=1), best.indices, best.values))
    labels, likeliest, probabilities = (torch.cat(one) for one in zip(*columns, strict=True))
    return _Answers(labels, likeliest, probabilities, probabilities)


def _write_pseudo_labels(
    path: Path, images: Images, zero_shot: ZeroShot, answers: _Answers
) -> None:
    names = images.class_names
    found = (zero_shot.zero_shot_labels, answers.labels, answers.confidences[:, 0])
    columns = [one.tolist() for one in found]
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(PSEUDO_LABEL_COLUMNS)
        for image, before, after, confidence in zip(images.training.images, *columns, strict=True):
            rounded = round(min(1.0, confidence), 6)
            writer.writerow((image.id, names[before], names[after], rounded))


def _write_uncertain(path: Path, answers: _Answers, images: Images) -> None:
    names = images.class_names
    confidences = answers.confidences
    order = confidences[:, 0].sort(stable=True).indices[:LEAST_CERTAIN]
    best = (one[order, :2].tolist() for one in (answers.likeliest, confidences))
    rows = []
    for row, label, likeliest, scores in zip(
        order.tolist(), answers.labels[order].tolist(), *best, strict=True
    ):
        classes = [
            ClassScore(names[one], min(1.0, score), one)
            for one, score in zip(likeliest, scores, strict=True)
        ]
        others = [one for one in classes[1:] if one.label != label]
        rows.append(Prediction(images.training.images[row].id, (classes[0], *others)))
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        stream_predictions(file, rows, "jsonl", Columns(source=False))


def named_classes(evaluation: Evaluation, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the evaluation as JSON data, with the name of each class beside its counts."""
    data = asdict(evaluation)
    for name, counts in zip(class_names, data["classes"], strict=True):
        counts["class"] = name
    return data


def _predictions(
    images: Images, zero_shot: ZeroShot, found: Measured, calibration: Calibration, top_k: int
) -> Iterator[Prediction]:
    """Yield the rows of `predictions.csv`; only one block of rows is in memory at a time."""
    scan, names = images.evaluation, images.class_names
    own = found.calibrated_own(calibration)
    true_labels = iter(images.labels)
    first = 0
    for block in found.similarities:
        frozen = zero_shot.classifier.similarities(zero_shot.evaluation[first : first + len(block)])
        before = iter(frozen.argmax(dim=1).tolist())
        ids = [image.id for image in scan.images[first : first + len(block)]]
        keys = scan.keys[first : first + len(block)]
        first += len(block)
        rows = predict_rows(ids, block, names, logit_scale=calibration.scale, top_k=top_k)
        for row in own.replace(rows, keys, names, top_k) if own else rows:
            true_class, label = names[next(true_labels)], names[next(before)]
            yield replace(row, true_class=true_class, zero_shot=label)
