"""Calibrate the confidence of a run's models, without labels or by answers that were left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latte.evaluate.calibration import (
    calibration_error,
    expected_accuracy,
    matching_exponent,
    matching_scale,
    mean_confidence,
)
from latte.interfaces import Calibration
from latte.models.classified import Classified
from latte.models.zero_shot import ZeroShot

_ENOUGH = 10_000
"""Number of training images that suffice for calibration; with more images it only takes longer."""
_MOST_NUMBERS = 2**25
"""Largest number of similarities (images times classes) that are used for calibration."""


def calibrate(
    classified: Classified,
    zero_shot: ZeroShot,
    frozen_scale: float,
    given_classes: Tensor,
    true_labels: Sequence[int],
) -> Calibration:
    """Calibrate the scale of the classifier and the exponent of the posterior.

    Without left-out answers, no label is used. After calibration, the mean confidence equals the
    expected accuracy, which is estimated from the zero-shot probabilities of the predicted classes.
    With a posterior, this holds before an image's confidences are multiplied by the sum of its
    probabilities. Images whose class a person gave are left out, unless there are no others.

    Left-out answers of a taught model move scale and exponent from there to those that make the
    answers likeliest; see `latte.evaluate.left_out`.

    `frozen_scale` is the frozen CLIP's logit scale. `given_classes` (N,) are the classes that a
    person gave to the training images, or -1. The calibration error is measured if the evaluation
    images have `true_labels`.
    """
    sample_size = min(_ENOUGH, max(1, _MOST_NUMBERS // classified.training.classes))
    stride = -(-classified.training.images // sample_size)
    rows = slice(None, None, stride)
    is_unanswered = given_classes[rows] < 0
    is_selected = is_unanswered if bool(is_unanswered.any()) else ~is_unanswered
    training = classified.training.block(rows)[is_selected]
    frozen = zero_shot.clip.training[rows] @ zero_shot.class_features.T
    zero_shot_probabilities = (frozen * frozen_scale).softmax(dim=1)[is_selected]
    expected = expected_accuracy(zero_shot_probabilities, training.argmax(dim=1))
    scale = matching_scale(training, expected, classified.logit_scale)
    left_out = classified.left_out
    if left_out is not None:
        scale = left_out.scale(scale, classified.logit_scale)
        expected = mean_confidence(training, scale)
    calibration = Calibration(scale, classified.logit_scale, expected, len(training))
    own_images = classified.posterior
    # With one stored class per image, the probabilities of all other classes are unknown.
    if own_images is not None and own_images.posterior.labels.shape[1] > 1:
        likeliest, probabilities = (
            tensor[rows][is_selected]
            for tensor in (own_images.posterior.labels, own_images.posterior.probabilities)
        )
        posterior_accuracy = expected_accuracy(zero_shot_probabilities, likeliest[:, 0])
        exponent = matching_exponent(probabilities, posterior_accuracy)
        if left_out is not None:
            exponent = left_out.exponent(exponent)
        calibration = replace(calibration, own_exponent=exponent)
    if not true_labels:
        return calibration
    similarities, errors = classified.evaluation, []
    is_correct = similarities.labels() == torch.tensor(true_labels)
    for logit_scale in (scale, classified.logit_scale):
        confidence = [(block * logit_scale).softmax(dim=1).amax(dim=1) for block in similarities]
        errors.append(calibration_error(torch.cat(confidence), is_correct))
    return replace(calibration, error=errors[0], uncalibrated_error=errors[1])
