"""Base class of the methods: labelers that compute class probabilities of all images together."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from latte.api import (
    Classifier,
    JointLabeler,
    JointLabels,
    OptionsT,
    PrototypeAggregator,
    shift_to_texts,
)


@dataclass(frozen=True)
class FieldProblem:
    """Unit features of N images and C class texts, the logit scale, and a person's answers."""

    images: Tensor
    """(N, D)"""
    texts: Tensor
    """(C, D)"""
    scale: float
    answers: Tensor
    """(N,) int64: the class that a person gave to an image, or -1."""

    @property
    def log_prior(self) -> Tensor:
        """Logarithms (N, C) of the zero-shot probabilities, the softmax of scale · x·t."""
        return (self.scale * self.images @ self.texts.T).log_softmax(dim=1)

    @property
    def answered(self) -> Tensor:
        """Indices (M,) of the images with an answer."""
        return (self.answers >= 0).nonzero().squeeze(1)

    @property
    def answer_rows(self) -> Tensor:
        """One-hot answers (M, C) of the images `answered`."""
        return one_hot(self.answers[self.answered], len(self.texts)).to(self.images)

    def with_answers(self, probabilities: Tensor) -> Tensor:
        """Return `probabilities` (N, C), with one-hot rows for images with an answer."""
        return probabilities.index_copy(0, self.answered, self.answer_rows)

    def linear(self, rows: Tensor, bias: Tensor | None = None) -> Classifier:
        """Return the classifier with logits x·rowᵀ + bias, for rows (C, D) and bias (C,).

        latte multiplies a classifier's similarities by the logit scale, so both are divided by it.
        """
        owners = torch.arange(len(rows), device=rows.device)
        return Classifier(rows / self.scale, owners, None if bias is None else bias / self.scale)

    def nearest_means(self, probabilities: Tensor) -> Classifier:
        """Return the unit means of the images of each class as classifier of new images.

        An image counts for a class by its probability (N, C). The class text, moved by the modality
        gap to the images, counts as one image.
        """
        moved_texts = self.texts - shift_to_texts(self.images, self.texts)
        means = normalize(probabilities.T @ self.images + moved_texts, dim=1)
        return Classifier(means, torch.arange(len(means), device=means.device))


@dataclass(frozen=True)
class FieldFit:
    """Class probabilities (N, C) of all images, and the method's linear classifier, if any."""

    probabilities: Tensor
    classifier: Classifier | None = None


class FieldLabeler(JointLabeler[OptionsT]):
    """Labeler of a method that computes class probabilities of all images together.

    A subclass implements `fit`. New images are classified by the method's linear classifier, or by
    nearest class means if the method has none.
    """

    @abstractmethod
    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the class probabilities of all images."""

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Label all images by the method."""
        corrections = self.training.corrections
        nobody = torch.full((len(features),), -1, device=features.device)
        problem = FieldProblem(
            features,
            self.training.class_features.to(features),
            float(self.context.frozen_clip().logit_scale),
            nobody if corrections is None else corrections.to(features.device),
        )
        fit = self.fit(problem)
        classifier = fit.classifier or problem.nearest_means(fit.probabilities)
        return JointLabels.from_probabilities(fit.probabilities, classifier)


def shares(scores: Tensor) -> Tensor:
    """Return non-negative scores (N, C) divided by their row sums; equal shares for a zero row."""
    sums = scores.sum(dim=1, keepdim=True)
    return torch.where(sums > 0, scores / sums.clamp_min(1e-30), 1 / scores.shape[1])
