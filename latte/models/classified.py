"""Similarities of images by one model of a run, and the labels that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latte.evaluate.predictions import LEAST_MATCH
from latte.evaluate.similarities import Similarities
from latte.interfaces import Calibration, Progress, long_task
from latte.interfaces.answer_facts import SureLabels
from latte.models.left_out import LeftOutScores
from latte.models.posterior import OwnImages

MOST_CLASSES = 5
"""Number of most probable classes per training image that show which classes occur."""


@dataclass(frozen=True)
class OwnLabels:
    """Classes of the N training images by one model."""

    labels: Tensor
    """(N,): the most probable class."""
    likeliest: Tensor
    """(N, K): the K = `MOST_CLASSES` most probable classes, or all."""
    probabilities: Tensor
    """(N, K): their probabilities, which are not calibrated if there is a posterior."""
    confidences: Tensor
    """(N, K): their calibrated probabilities."""
    none: Tensor | None = None
    """(N,): probability that the image shows none of the classes; None if no answer said so."""

    @property
    def label_confidences(self) -> Tensor:
        """(N,): confidence of the label, be it a class or none of them."""
        sure = self.confidences[:, 0]
        return sure if self.none is None else sure.where(self.none <= 1 - LEAST_MATCH, self.none)

    def corrected(self, person_labels: Tensor, is_none: Tensor | None = None) -> OwnLabels:
        """Replace predictions by `person_labels` (N,), except where these are -1.

        `is_none` (N,) marks the images that show none of the classes, as a person said.
        """
        has_label = person_labels >= 0
        certain_probabilities = torch.zeros_like(self.probabilities)
        certain_probabilities[:, 0] = 1
        return OwnLabels(
            person_labels.where(has_label, self.labels),
            person_labels.unsqueeze(1).where(has_label.unsqueeze(1), self.likeliest),
            certain_probabilities.where(has_label.unsqueeze(1), self.probabilities),
            certain_probabilities.where(has_label.unsqueeze(1), self.confidences),
            self._corrected_none(has_label, is_none),
        )

    def _corrected_none(self, has_label: Tensor, is_none: Tensor | None) -> Tensor | None:
        if self.none is None and is_none is None:
            return None
        none = torch.zeros(len(self.labels)) if self.none is None else self.none
        none = none.masked_fill(has_label, 0)
        return none if is_none is None else none.masked_fill(is_none, 1)


@dataclass(frozen=True)
class Classified:
    """Similarities of the training and the evaluation images to the classes, by one model."""

    logit_scale: float
    training: Similarities
    evaluation: Similarities
    posterior: OwnImages | None = None
    """Posterior (class probabilities) of the training images; None if the model has none."""
    left_out: LeftOutScores | None = None
    """Answers that were left out in turn; None if the model was not taught, or by few answers."""

    def calibrated_posterior(self, calibration: Calibration) -> OwnImages | None:
        """Return the posterior after calibration, or None if there is no posterior."""
        if self.posterior is None:
            return None
        return replace(self.posterior, exponent=calibration.own_exponent)

    def own_labels(self, calibration: Calibration, progress: Progress) -> OwnLabels:
        """Label the training images, by the posterior if there is one."""
        own_images = self.calibrated_posterior(calibration)
        if own_images is not None:
            tensors = (
                own_images.posterior.labels,
                own_images.posterior.probabilities,
                own_images.confidences,
            )
            labels, probabilities, confidences = (tensor[:, :MOST_CLASSES] for tensor in tensors)
            none = own_images.posterior.none
            return OwnLabels(labels[:, 0], labels, probabilities, confidences, none)
        columns: list[tuple[Tensor, ...]] = []
        with long_task(progress, "label images", self.training.images, "images") as task:
            for block in self.training:
                shares = (block.float() * calibration.scale).softmax(dim=1)
                best = shares.topk(min(MOST_CLASSES, shares.shape[1]), dim=1)
                columns.append((block.argmax(dim=1), best.indices, best.values))
                task.advance(len(block))
        labels, likeliest, probabilities = (
            torch.cat(blocks) for blocks in zip(*columns, strict=True)
        )
        return OwnLabels(labels, likeliest, probabilities, probabilities)

    def sure_labels(self, calibration: Calibration, given_classes: Tensor) -> SureLabels | None:
        """Return how many confident labels of own images are right, by left-out answers, or None.

        `given_classes` (N,) are the classes that a person gave to the training images, or -1.
        """
        own_images = self.calibrated_posterior(calibration)
        if own_images is None or self.left_out is None or calibration.own_exponent is None:
            return None
        confidences = own_images.confidences[:, 0][given_classes < 0]
        return self.left_out.sure_labels(calibration.own_exponent, confidences)
