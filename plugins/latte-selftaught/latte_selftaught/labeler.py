"""Labeler `self-taught`: the method of `self_taught` as a component of latte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from latte.api import (
    Classifier,
    EpochInfo,
    FeatureBank,
    JointLabeler,
    JointLabels,
    Options,
    PrototypeAggregator,
    TrainingStart,
    is_useful_encoder,
    self_taught,
)

_HALF = 0.5


class SelfTaughtOptions(Options):
    """Options of the labeler `self-taught`."""

    weight: float = Field(
        default=1.0, ge=0.0, description="multiplies this stream's loss; 0: there is no such stream"
    )


class SelfTaughtLabeler(JointLabeler[SelfTaughtOptions]):
    """Labeler that labels each learner's features of all images by self-taught ridge regression.

    Encoders of the recipe that are not useful (`is_useful_encoder`) are left out: labels and
    classifier are then those without them, to the bit.
    """

    stream = "self-taught"

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the other inputs; choose the encoders."""
        super().start(start)
        self._encoder_rows: list[dict[str, Tensor]] = []
        self.encoders = {
            name: features.to(start.image_features)
            for name, features in start.encoder_features.items()
            if is_useful_encoder(start.image_features, features.to(start.image_features))
        }

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Label all images per learner; return classifiers of learners and of used encoders."""
        self._encoder_rows = []
        info = super().on_epoch_start(banks, aggregators, epoch)
        return EpochInfo(members(info.classifiers, self._encoder_rows))

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Label the images, and return the regression as classifier."""
        answers, reliabilities = self._answers(features)
        taught = self_taught(
            features,
            self.training.class_features.to(features),
            answers,
            reliabilities=reliabilities,
            encoders=[*self.encoders.values()],
            progress=self.context.progress,
        )
        # The classifier gives similarities: latte multiplies them by the logit scale.
        scale = float(self.context.frozen_clip().logit_scale)
        rows, *encoder_rows = (part / scale for part in taught.rows)
        self._encoder_rows.append(dict(zip(self.encoders, encoder_rows, strict=True)))
        posterior = taught.posterior
        return JointLabels(
            posterior.labels[:, 0],
            torch.ones_like(posterior.probabilities[:, 0]),
            classifier_of(rows, taught.bias / scale, len(self.training.class_names)),
            posterior,
        )

    def _answers(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the answers (N,) that `self_taught` takes, and their reliabilities (N,).

        Class C is "none of these". Without answers of a model, all answers are certain, and there
        are no reliabilities.
        """
        answers, model = self._certain(features), self.training.model_answers
        if model is None:
            return answers, None
        is_certain = answers >= 0
        answers = answers.where(is_certain, model.classes.to(features.device))
        reliabilities = model.reliabilities.to(features)
        return answers, reliabilities.masked_fill(is_certain, 1.0)

    def _certain(self, features: Tensor) -> Tensor:
        """Return the answers (N,) of a person."""
        answers = torch.full((len(features),), -1, device=features.device)
        if self.training.corrections is not None:
            answers = self.training.corrections.to(features.device)
        if self.training.shows_none is None:
            return answers
        is_none = self.training.shows_none.to(features.device)
        return answers.masked_fill(is_none, len(self.training.class_names))

    @property
    def scale(self) -> float:
        """Factor of the stream's loss: the option `weight`."""
        return self.options.weight

    def extras(self) -> dict[str, str | int | float]:
        """Return the numbers of images in doubt and of no class, and the encoders that are used."""
        likeliest = [
            rows for name, rows in self.state().items() if name.startswith("probabilities.")
        ]
        facts: dict[str, str | int | float] = {}
        if likeliest:
            facts["Images in doubt"] = sum(int((rows[:, 0] < _HALF).sum()) for rows in likeliest)
        if none := [rows for name, rows in self.state().items() if name.startswith("none.")]:
            facts["Images of no class"] = sum(int((rows > _HALF).sum()) for rows in none)
        for name in self.training.encoder_features:
            facts[f"Labels use {name}"] = "yes" if name in self.encoders else "no"
        return facts


def classifier_of(rows: Tensor, bias: Tensor | None, classes: int) -> Classifier:
    """Return a classifier of `classes` rows (C, D); one more row is that of "none of these"."""
    none = None
    if len(rows) > classes:
        last_bias = rows.new_zeros(1) if bias is None else bias[classes:]
        none = torch.cat([rows[classes], last_bias])
    owners = torch.arange(classes, device=rows.device)
    return Classifier(rows[:classes], owners, None if bias is None else bias[:classes], none)


def members(
    learners: Mapping[str, Classifier], encoder_rows: list[dict[str, Tensor]]
) -> dict[str, Classifier]:
    """Return the classifiers of learners and encoders whose mean similarities are the model's.

    The similarities of a learner are those of its classifier, plus the products of an encoder's
    features and its rows (C, E) in `encoder_rows`, with one more row for none. latte averages the
    similarities of learners and encoders, so all rows and biases are multiplied to give the mean
    over learners.
    """
    encoders = encoder_rows[0] if encoder_rows else {}
    factor = (len(learners) + len(encoders)) / max(1, len(learners))
    classifiers = {name: classifier.scaled(factor) for name, classifier in learners.items()}
    classes = [classifier.classes for classifier in learners.values()]
    for name in encoders:
        total = torch.stack([rows[name] for rows in encoder_rows]).sum(dim=0)
        classifiers[name] = classifier_of(factor * total, None, classes[0])
    return classifiers
