"""Collect the results of a run from its folder, for reporters."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from latte.describe.bank import DescriptionBank
from latte.evaluate.similarities import Similarities, mean_similarities
from latte.interfaces import (
    ClassifiedImage,
    Classifier,
    Confusion,
    GalleryEntry,
    ImageReference,
    LatteError,
    LearnerPrototypes,
    RunResults,
)
from latte.models.posterior import read_own_images
from latte.models.saved_model import refuse_other_width, used_classifiers
from latte.models.zero_shot import ZeroShot, zero_shot_labels
from latte.results.collected import count_pairs, stored_results
from latte.results.rows import PseudoLabels
from latte.results.run import Run
from latte.results.stored import explained, same_count
from latte.run.describing import load_bank
from latte.run.evaluating import split_rows
from latte.run.images import Images
from latte.run.workspace import Workspace
from latte.run.zero_shot import load_zero_shot_of

GALLERY = 200
"""Number of training images that are sampled with the run's seed as examples for reporters."""
_MOST_PAIRS = 50
_SUREST, _DOUBTFUL = 8, 4
"""Numbers of the most and of the least confident images of a class that are its examples."""


def collect_results(workspace: Workspace, images: Images) -> RunResults:
    """Return all results of a finished run that a report may show.

    Raises `LatteError` if a file of the run is damaged, or belongs to other images or classes.
    """
    folder, run = workspace.folder, Run(workspace.folder)
    with explained(folder.results.path):
        if run.class_names != images.class_names:
            raise ValueError("it is about other classes")
    labels = run.rows.pseudo_labels
    counts = [len(labels.adapted), len(images.training.images)]
    same_count(folder.pseudo_labels, "training images", counts)
    bank = load_bank(workspace, images)
    zero_shot = load_zero_shot_of(images, folder.zero_shot, workspace.recipe.encoder_names)
    used = used_classifiers(run)
    zero_shot_predictions = zero_shot_labels(zero_shot.clip.evaluation, zero_shot.class_features)
    path = folder.adapted_model.prototypes
    if missing := used.encoders.keys() - zero_shot.encoders.keys():
        raise LatteError(f"the run has no features of the encoder {min(missing)}", where=str(path))
    for name, classifier in used.every.items():
        refuse_other_width(path, [classifier], zero_shot.of(name).training.shape[1])
    return replace(
        stored_results(run),
        metrics=run.metrics,
        gallery=tuple(_gallery(workspace, images, labels, bank)),
        confusions=_confusions(run, images, zero_shot, zero_shot_predictions, used.every),
        mistakes=_mistakes(run, images, zero_shot_predictions),
        uncertain=_uncertain(run, images, labels),
        examples=tuple(_examples(images, labels)),
        near_copies=_near_copies(run, images),
        prototypes=tuple(
            LearnerPrototypes(name, zero_shot.classifier, classifier)
            for name, classifier in used.learners.items()
        ),
    )


def _gallery(
    workspace: Workspace, images: Images, labels: PseudoLabels, bank: DescriptionBank
) -> list[GalleryEntry]:
    training = images.training

    def shown_image(row: int) -> ImageReference | None:
        is_example = row >= len(training.images)  # an example that joined the dataset's images
        return None if is_example else training.image(row)

    true_labels = workspace.dataset.audit_labels()
    rows = random.Random(workspace.seed).sample(
        range(len(training.images)), min(GALLERY, len(training.images))
    )
    return [
        GalleryEntry(
            image=training.image(row),
            descriptions=bank.described(row, shown_image),
            frozen_label=labels.frozen[row],
            adapted_label=labels.adapted[row],
            true_label=true_labels.get(training.images[row].id),
        )
        for row in rows
    ]


def _mistakes(
    run: Run, images: Images, zero_shot_predictions: Tensor
) -> tuple[ClassifiedImage, ...]:
    """Return the wrongly classified evaluation images, the most confident first."""
    if not images.labels:
        return ()
    mistakes = [
        ClassifiedImage(
            images.evaluation.image(row), answer.labels, answer.confidences, zero_shot, true
        )
        for row, (answer, zero_shot, true) in enumerate(
            zip(
                run.rows.prediction_rows(),
                zero_shot_predictions.tolist(),
                images.labels,
                strict=True,
            )
        )
        if answer.labels[0] != true
    ]
    return tuple(sorted(mistakes, key=lambda mistake: -mistake.confidences[0]))


def _uncertain(run: Run, images: Images, labels: PseudoLabels) -> tuple[ClassifiedImage, ...]:
    uncertain_ids = {answer.image for answer in run.rows.uncertain}
    rows = {
        image.id: row
        for row, image in enumerate(images.training.images)
        if image.id in uncertain_ids
    }
    with explained(run.folder.uncertain):
        return tuple(
            ClassifiedImage(
                images.training.image(rows[answer.image]),
                answer.labels,
                answer.confidences,
                labels.frozen[rows[answer.image]],
                None,
            )
            for answer in run.rows.uncertain
        )


def _near_copies(run: Run, images: Images) -> tuple[tuple[str, str], ...]:
    """Return pairs of training images that show the same picture: two of each series of copies."""
    first_of: dict[int, str] = {}
    pairs: dict[int, tuple[str, str]] = {}
    for image, number, origins in run.rows.series_rows(
        [image.id for image in images.training.images]
    ):
        if {"copies", "near-copies"} & {*origins}:
            first_image = first_of.setdefault(number, image)
            if first_image != image:
                pairs.setdefault(number, (first_image, image))
    return tuple([*pairs.values()][:_MOST_PAIRS])


def _examples(images: Images, labels: PseudoLabels) -> Iterator[ClassifiedImage]:
    """Yield the most and the least confident training images of each class."""
    named = (row for row in range(len(labels.adapted)) if row not in labels.none)
    ranked = sorted(named, key=lambda row: (labels.adapted[row], -labels.confidence[row]))
    for label, group in groupby(ranked, key=lambda row: labels.adapted[row]):
        rows = [*group]
        for row in rows[:_SUREST] + rows[max(_SUREST, len(rows) - _DOUBTFUL) :]:
            confidence, image = labels.confidence[row], images.training.image(row)
            yield ClassifiedImage(image, (label,), (confidence,), labels.frozen[row], None)


def _confusions(
    run: Run,
    images: Images,
    zero_shot: ZeroShot,
    zero_shot_predictions: Tensor,
    classifiers: Mapping[str, Classifier],
) -> dict[str, tuple[Confusion, ...]]:
    """Count pairs of true and predicted class, for zero-shot CLIP and for the adapted model.

    Both counts use only the images on which the adapted model is measured; see `split_rows`.
    """
    if not images.labels:
        return {}
    adapted_predictions = torch.tensor(run.rows.predicted_labels)
    same_count(
        run.folder.predictions, "test images", [len(adapted_predictions), len(images.labels)]
    )
    posterior = read_own_images(run) if run.record.judge.used == "adapted" else None
    rows, answered = split_rows(posterior, images.evaluation.keys, _left_out(run, images))
    if len(answered):
        # The file then has the posterior's predictions, not the classifier's.
        member_classifiers = [*classifiers.values()]
        features = [zero_shot.of(name).evaluation for name in classifiers]
        adapted_predictions = Similarities(
            len(zero_shot.clip.evaluation),
            member_classifiers[0].classes,
            lambda rows: mean_similarities(
                member_classifiers, [member_features[rows] for member_features in features]
            ),
        ).labels()
    true = torch.tensor(images.labels)[rows].tolist()
    return {
        name: count_pairs(Confusion, true, predicted[rows].tolist())
        for name, predicted in (
            ("zero-shot", zero_shot_predictions),
            ("adapted", adapted_predictions),
        )
    }


def _left_out(run: Run, images: Images) -> Tensor | None:
    """Return the indices of the test images that are left out of measurements; None for none."""
    copies = run.record.evaluate.near_copies
    if copies is None or not copies.left_out:
        return None
    left_out = {image for image, _ in run.rows.near_copies()}
    is_left_out = [image.id in left_out for image in images.evaluation.images]
    return torch.tensor(is_left_out).nonzero().flatten()
