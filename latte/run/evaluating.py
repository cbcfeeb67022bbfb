"""Stage `evaluate`: measure the adapted model, and label all images with it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.data.series import Series
from latte.evaluate.metrics import evaluate_ranks, label_ranks
from latte.evaluate.predictions import (
    LEAST_MATCH,
    ClassScore,
    Columns,
    Prediction,
    predict_rows,
    stream_predictions,
    write_predictions,
)
from latte.evaluate.priors import unsupported_classes
from latte.evaluate.similarities import Similarities
from latte.interfaces import Calibration, Evaluation, Progress, RunModel, long_task
from latte.interfaces.measurements import Role
from latte.interfaces.questions import NONE_OF_THESE
from latte.interfaces.record import EvaluateFacts
from latte.io.files import write_atomically
from latte.models.adapted import Adapted
from latte.models.calibrating import calibrate
from latte.models.classified import Classified, OwnLabels
from latte.models.left_out import LeftOutScores, read_left_out
from latte.models.posterior import OwnImages, read_own_images
from latte.models.zero_shot import ZeroShot
from latte.results.rows import PSEUDO_LABEL_COLUMNS, PSEUDO_LABEL_NONE_COLUMNS
from latte.results.run import Run
from latte.run.evaluation_copies import find_copies, write_copies
from latte.run.images import Images
from latte.run.judging import JudgedModels, trains_clip
from latte.run.member_features import encode_members
from latte.run.result import StageResult
from latte.run.series import RunSeries, write_series
from latte.run.workspace import Workspace

LEAST_CERTAIN = 200
"""Number of training images in `uncertain.jsonl`: the images with the lowest confidence."""


def evaluate(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    outcome: JudgedModels,
    series: RunSeries,
) -> StageResult:
    """Measure and calibrate all models of the run, and label all images with the one it uses.

    If the run does not use the adapted model, the adapted model labels the training images, too.
    """
    classified = _classify(workspace, images, zero_shot, outcome)
    if not distributed.is_main_process():
        return StageResult([])
    evaluation = {role: model.evaluation for role, model in classified.items()}
    posterior = classified["adapted"].posterior
    models, own_labels = [], {}
    copies = find_copies(workspace, images, zero_shot)
    left_out = copies.left_out if copies else None
    frozen_scale = float(workspace.frozen_clip.logit_scale.detach())
    for model in measure(images, evaluation, posterior, outcome.used, left_out):
        calibration, own_labels[model.role] = calibrated_labels(
            classified[model.role], zero_shot, frozen_scale, images, workspace.progress
        )
        models.append(replace(model, calibration=calibration))
    folder, used = workspace.folder, own_labels[outcome.used]
    written = [folder.pseudo_labels, folder.uncertain, folder.predictions, folder.series]
    write_series(folder.series, images, series.series)
    written += write_copies(folder.near_copies, images, copies)
    numbers, progress = series.series, workspace.progress
    _write_pseudo_labels(folder.pseudo_labels, images, zero_shot, used, numbers, progress)
    adapted_labels = folder.adapted_model.pseudo_labels
    adapted_labels.unlink(missing_ok=True)
    if outcome.used != "adapted":
        adapted = own_labels["adapted"]
        _write_pseudo_labels(adapted_labels, images, zero_shot, adapted, numbers, progress)
        written.append(adapted_labels)
    _write_uncertain(folder.uncertain, used, images)
    (used_model,) = (model for model in models if model.role == outcome.used)
    used_calibration = used_model.calibration
    assert used_calibration is not None, "all models are calibrated"
    _write_predictions(workspace, images, zero_shot, classified[outcome.used], used_calibration)
    unsupported = _unsupported(used, images.class_names)
    sure_labels = classified[outcome.used].sure_labels(used_calibration, images.given)
    facts = EvaluateFacts(
        models=tuple(models),
        unsupported=unsupported,
        sure_labels=sure_labels,
        series=series.facts,
        near_copies=copies.facts if copies else None,
    )
    return StageResult(written, facts)


def calibrated_labels(
    classified: Classified,
    zero_shot: ZeroShot,
    frozen_scale: float,
    images: Images,
    progress: Progress,
) -> tuple[Calibration, OwnLabels]:
    """Calibrate a model, and return its labels of the training images with a person's classes."""
    calibration = calibrate(classified, zero_shot, frozen_scale, images.given, images.labels)
    labels = classified.own_labels(calibration, progress)
    return calibration, labels.corrected(images.given, images.given_none)


def measure(
    images: Images,
    evaluation: Mapping[Role, Similarities],
    posterior: OwnImages | None,
    used: Role,
    left_out: Tensor | None = None,
) -> list[RunModel]:
    """Measure the models of a run; without labelled images, the results are None.

    `evaluation` has each model's similarities (M, C) of the evaluation images. The adapted model's
    `posterior` is measured on the test images that are also training images. The classifiers are
    measured on the other test images if the run uses the posterior; see `split_rows`. The test
    images with the indices `left_out` are not used.
    """
    if not images.labels:
        return [RunModel(role, role) for role in evaluation]
    labels, keys = torch.tensor(images.labels), images.evaluation.keys
    ranks = {role: label_ranks(role, rows, labels) for role, rows in evaluation.items()}

    def evaluated(role: Role, ranks_of_role: Tensor, rows: Tensor) -> Evaluation:
        baseline = None if role == "zero-shot" else ranks["zero-shot"][rows] == 0
        return evaluate_ranks(ranks_of_role, labels[rows], len(images.class_names), baseline)

    used_posterior = posterior if used == "adapted" else None
    classifier_rows, _ = split_rows(used_posterior, keys, left_out)
    own_images: dict[Role, Evaluation] = {}
    _, own_rows = split_rows(posterior, keys)
    if posterior is not None and len(own_rows):
        places = torch.tensor([row for row in posterior.rows(keys) if row is not None])
        by_posterior = posterior.ranks(places, labels[own_rows], len(images.class_names))
        own_images["adapted"] = evaluated("adapted", by_posterior, own_rows)
        own_images["zero-shot"] = evaluated("zero-shot", ranks["zero-shot"][own_rows], own_rows)
    return [
        RunModel(
            role,
            role,
            evaluated(role, role_ranks[classifier_rows], classifier_rows),
            own_images.get(role),
        )
        for role, role_ranks in ranks.items()
    ]


def split_rows(
    posterior: OwnImages | None, keys: Sequence[str], left_out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the indices of test images for measuring the classifier, and for the posterior.

    The posterior is measured on the test images that are also training images. The classifier is
    measured on the other test images, or on all if there are no others. `keys` are the content
    hashes of the test images. The images with the indices `left_out`, which are no training images,
    do not measure the classifier.
    """
    is_training_image = (
        [False] * len(keys)
        if posterior is None
        else [row is not None for row in posterior.rows(keys)]
    )
    has_posterior = torch.tensor(is_training_image, dtype=torch.bool)
    is_used = torch.ones_like(has_posterior)
    if left_out is not None:
        is_used[left_out] = False
    is_apart = is_used & ~has_posterior
    measures_classifier = is_apart if bool(is_apart.any()) else is_used
    return measures_classifier.nonzero().flatten(), has_posterior.nonzero().flatten()


def _classify(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, outcome: JudgedModels
) -> dict[Role, Classified]:
    """Return the similarities of all images by each of the run's models.

    Only an adapted model whose CLIP was trained encodes the images; the others use the features of
    the frozen CLIP and of the encoders.
    """
    trained: dict[Role, tuple[Sequence[Tensor], Sequence[Tensor]]] = {}
    if trains_clip(workspace):
        size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
        adapted, training = outcome.adapted, outcome.features
        if training is None:
            training = encode_members(
                adapted, images.training.cache, size, progress, "label images"
            )
        evaluation = encode_members(
            adapted, images.evaluation.cache, size, progress, "label test images"
        )
        trained["adapted"] = training, evaluation
    posterior, left_out = None, None
    if distributed.is_main_process():
        run = Run(workspace.folder)
        posterior, left_out = read_own_images(run), read_left_out(run)
    classified: dict[Role, Classified] = {}
    for role, model in outcome.models.items():
        facts = (posterior, left_out) if role == "adapted" else (None, None)
        classified[role] = classified_by(model, zero_shot, *facts, trained.get(role))
    return classified


def classified_by(
    model: Adapted,
    zero_shot: ZeroShot,
    posterior: OwnImages | None,
    left_out: LeftOutScores | None,
    trained: tuple[Sequence[Tensor], Sequence[Tensor]] | None = None,
) -> Classified:
    """Return a model's similarities of all images, from frozen features or from `trained` ones.

    These are the features of the training and of the evaluation images, one per learner.
    """
    features = [zero_shot.of(name) for name in model.names]
    frozen = [part.training for part in features], [part.evaluation for part in features]
    training, evaluation = trained or frozen
    return Classified(
        model.logit_scale,
        model.in_blocks(training),
        model.in_blocks(evaluation),
        posterior,
        left_out,
    )


def _write_pseudo_labels(
    path: Path,
    images: Images,
    zero_shot: ZeroShot,
    own_labels: OwnLabels,
    series: Series,
    progress: Progress,
) -> None:
    training, none = images.training.images, own_labels.none
    tensors = (
        zero_shot.zero_shot_labels,
        own_labels.labels,
        own_labels.confidences[:, 0].clamp(max=1),
        series.numbers[: len(training)],
        torch.zeros(len(training)) if none is None else none,
    )
    columns = [tensor.tolist() for tensor in tensors]
    header = PSEUDO_LABEL_COLUMNS if none is None else PSEUDO_LABEL_NONE_COLUMNS
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
        long_task(progress, f"write {path.name}", len(training), "images") as task,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        for image, *cells in zip(training, *columns, strict=True):
            row = (image.id, *_label_cells(images.class_names, *cells))
            writer.writerow(row[: len(header)])
            task.advance()


def _label_cells(
    names: Sequence[str], zero_shot: int, label: int, confidence: float, series: int, none: float
) -> tuple[str | float, ...]:
    """Return the cells of an image in `pseudo_labels.csv` after its id."""
    match, score = round(1 - none, 6), round(confidence, 6)
    is_none = match < LEAST_MATCH
    named = (NONE_OF_THESE, round(1 - match, 6)) if is_none else (names[label], score)
    return (names[zero_shot], *named, series, names[label], score, match)


def _write_uncertain(path: Path, own_labels: OwnLabels, images: Images) -> None:
    names = images.class_names
    confidences = own_labels.confidences
    order = own_labels.label_confidences.sort(stable=True).indices[:LEAST_CERTAIN]
    best = (tensor[order, :2].tolist() for tensor in (own_labels.likeliest, confidences))
    rows = []
    for row, label, likeliest, scores in zip(
        order.tolist(), own_labels.labels[order].tolist(), *best, strict=True
    ):
        classes = [
            ClassScore(names[index], min(1.0, score), index)
            for index, score in zip(likeliest, scores, strict=True)
        ]
        other_scores = [score for score in classes[1:] if score.label != label]
        rows.append(Prediction(images.training.images[row].id, (classes[0], *other_scores)))
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        stream_predictions(file, rows, "jsonl", Columns(source=False))


def as_data(model: RunModel, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the model as JSON data, with the name of each class beside its counts."""
    data = asdict(model)
    for evaluation in filter(None, (data["classifier"], data["own_images"])):
        for name, counts in zip(class_names, evaluation["classes"], strict=True):
            counts["class"] = name
    return data


def _unsupported(own_labels: OwnLabels, names: Sequence[str]) -> tuple[str, ...]:
    # Rounding puts some probabilities above 1.
    shares = own_labels.probabilities.clamp(max=1)
    labels = unsupported_classes(own_labels.likeliest, shares, len(names))
    return tuple(names[label] for label in labels)


def _write_predictions(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    classified: Classified,
    calibration: Calibration,
) -> None:
    top_k = workspace.recipe.evaluate.top_k
    rows = _predictions(images, zero_shot, classified, calibration, top_k)
    columns = Columns(min(top_k, len(images.class_names)), true_class=True, zero_shot=True)
    write_predictions(workspace.folder.predictions, rows, columns=columns)


def _predictions(
    images: Images,
    zero_shot: ZeroShot,
    classified: Classified,
    calibration: Calibration,
    top_k: int,
) -> Iterator[Prediction]:
    """Yield the rows of `predictions.csv`; only one block of rows is in memory at a time."""
    scan, names = images.evaluation, images.class_names
    own_images = classified.calibrated_posterior(calibration)
    true_labels = iter(images.labels)
    start = 0
    for block in classified.evaluation:
        frozen = zero_shot.classifier.similarities(
            zero_shot.clip.evaluation[start : start + len(block)]
        )
        zero_shot_labels = iter(frozen.argmax(dim=1).tolist())
        ids = [image.id for image in scan.images[start : start + len(block)]]
        keys = scan.keys[start : start + len(block)]
        start += len(block)
        rows = predict_rows(ids, block, names, logit_scale=calibration.scale, top_k=top_k)
        for row in own_images.replace(rows, keys, names, top_k) if own_images else rows:
            true_class, label = names[next(true_labels)], names[next(zero_shot_labels)]
            yield replace(row, true_class=true_class, zero_shot=label)
