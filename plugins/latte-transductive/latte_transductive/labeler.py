"""Pseudo-labels from a Gaussian mixture fitted to all training images, once per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    Classifier,
    EpochInfo,
    FeatureBank,
    JointLabeler,
    JointLabels,
    LabelStream,
    PrototypeAggregator,
    TrainingStart,
    long_task,
)
from latte_transductive.encoder_weights import members, weighted_encoders
from latte_transductive.large import (
    LargeMixture,
    fit_large_among_other_names,
    is_large,
    updates,
)
from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.neighbours import neighbours_of
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import NAMES, fit_among_other_names, fit_with_answers
from latte_transductive.spaces import WeightedEncoders

_HALF = 0.5


class TransductiveOptions(MixtureOptions):
    """Options of the labeler `transductive`."""

    other_names: int = Field(
        default=5,
        ge=0,
        le=len(NAMES) // 3,
        description="number of names of other things in each of two fits, which take the images "
        "that show no class; with answers of a person, in the fits that speak for classes without "
        "an answer; 0: one fit without them",
    )
    balance: float = Field(
        default=0.25,
        ge=0.0,
        le=1.0,
        description="share of the shifts of the text logits that make all classes as frequent",
    )
    prior: Literal["zero_shot", "current"] = Field(
        default="zero_shot",
        description="similarities that are the prior: of the zero-shot classifier, or of the "
        "learner's prototypes at the start of the epoch",
    )
    confidence: bool = Field(
        default=False,
        description="images count by their label's probability; false: all images count alike",
    )
    weight: float = Field(
        default=1.0, ge=0.0, description="multiplies this stream's loss; 0: there is no such stream"
    )


OptionsT = TypeVar("OptionsT", bound=TransductiveOptions)


class TransductiveLabeler(JointLabeler[OptionsT]):
    """Labeler that fits an anchored Gaussian mixture to each learner's features of all images.

    The prior is the softmax of text logits: the similarities with the zero-shot classifier times
    the frozen CLIP's logit scale. With `prior: current` the learner's current prototypes replace
    the zero-shot classifier, so that labels change with the prototypes. Without answers of a
    person, the mixture has names of other things; see `other_names`.

    Image-only encoders of the recipe have Gaussians of their own, with a weight that follows from
    the images; see `encoder_weights`. An encoder with the weight 0 changes no label.
    """

    stream = "transductive"
    fits_large: ClassVar[bool] = True
    """True if a large set of images is fitted by `large`, which knows no describer's answers."""
    encoder_weights: dict[str, float]
    """Weight of each encoder beside the CLIP, by its name, in the latest fit."""

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the other inputs."""
        super().start(start)
        self._other_texts: Tensor | None = None
        self._encoder_rows: dict[str, Mapping[str, Tensor]] = {}
        self.encoder_weights = dict.fromkeys(start.encoder_features, 0.0)

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Label all images per learner; return classifiers of learners and of used encoders."""
        self._encoder_rows = {}
        info = super().on_epoch_start(banks, aggregators, epoch)
        return EpochInfo(members(info.classifiers, self._encoder_rows))

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Label the images by a mixture, and return the mixture as classifier."""
        scale = self._scale(features)
        texts = self._texts(features, aggregator)
        mixture = (
            self._fit_large(features, texts)
            if self._is_large(features, texts)
            else self._fit(features, texts, self._text_logits(features, aggregator))
        )
        # The classifier gives similarities: latte multiplies them by the logit scale.
        rows, bias = texts + mixture.rows / scale, mixture.bias / scale
        self._encoder_rows[learner] = {
            name: encoder_rows / scale for name, encoder_rows in mixture.encoder_rows.items()
        }
        classifier = Classifier(rows, torch.arange(len(rows), device=rows.device), bias)
        labels = mixture.labels(classifier)
        if not self.options.confidence or labels.posterior is None:
            return labels
        return replace(labels, weights=labels.posterior.probabilities[:, 0])

    def _is_large(self, images: Tensor, texts: Tensor) -> bool:
        """Return True if the mixture is fitted by `large`, which some options do not allow."""
        options = self.options
        return (
            is_large(images, texts)
            and self.fits_large
            and options.prior == "zero_shot"
            and bool(options.other_names or options.balance)
            and not self.training.encoder_features
            and not self._has_answers
        )

    def _fit_large(self, images: Tensor, texts: Tensor) -> LargeMixture:
        names = self.options.other_names
        self._find_neighbours(images)
        with long_task(
            self.context.progress, "fit mixtures", updates(self.options, names), "updates"
        ) as task:
            return fit_large_among_other_names(
                images,
                texts,
                self._texts_of_others(images),
                float(self._scale(images)),
                self.options,
                names=names,
                balance=self.options.balance,
                advance=task.advance,
            )

    def _find_neighbours(self, directions: Tensor) -> None:
        """Search the neighbours of unit vectors (N, D) and show progress; fits reuse the result."""
        if self.options.neighbour_weight:
            neighbours_of(directions, self.options.neighbours, self.context.progress)

    def _texts_of_others(self, images: Tensor) -> Tensor:
        if self._other_texts is None:
            self._other_texts = self.training.encode_names(NAMES)
        return self._other_texts.to(images)

    def _scale(self, images: Tensor) -> Tensor:
        return self.context.frozen_clip().logit_scale.to(images)

    def _text_logits(self, images: Tensor, aggregator: PrototypeAggregator[Any]) -> Tensor | None:
        """Return the text logits (N, C), or None if they are those of the class texts."""
        if self.options.prior == "zero_shot":
            return None
        return self._scale(images) * aggregator.similarities(images)

    def _fit(
        self, images: Tensor, texts: Tensor, text: Tensor | None, evidence: Tensor | None = None
    ) -> Mixture:
        """Return the mixture, with the encoders that see the same classes as the CLIP.

        Classes are those of the mixture with a person's answers, or else the zero-shot labels.
        """
        if not self.training.encoder_features:
            return self._fit_beside(None, images, texts, text, evidence)
        mixture = None
        labels = (images @ texts.T if text is None else text).argmax(dim=1)
        if self._has_answers:
            mixture = self._fit_beside(None, images, texts, text, evidence)
            labels = mixture.posteriors.argmax(dim=1)
        features = {
            name: features.to(images) for name, features in self.training.encoder_features.items()
        }
        encoders = weighted_encoders(images, labels, len(texts), features)
        self.encoder_weights = dict.fromkeys(features, 0.0)
        if encoders is not None:
            names = [space.name for space in encoders.spaces]
            self.encoder_weights |= dict(zip(names, encoders.weights, strict=True))
        elif mixture is not None:
            return mixture
        return self._fit_beside(encoders, images, texts, text, evidence)

    @property
    def _has_answers(self) -> bool:
        corrections = self.training.corrections
        return corrections is not None and bool((corrections >= 0).any())

    def _fit_beside(
        self,
        encoders: WeightedEncoders | None,
        images: Tensor,
        texts: Tensor,
        text: Tensor | None,
        evidence: Tensor | None,
    ) -> Mixture:
        self._find_neighbours(images if encoders is None else encoders.directions)
        scale, corrections = float(self._scale(images)), self.training.corrections
        names, balance = self.options.other_names, self.options.balance
        has_only_evidence = evidence is not None and not self._has_answers
        if has_only_evidence or not (names or balance):
            return fit_mixture(
                images, texts, scale, self.options, corrections, evidence, text, encoders
            )
        if corrections is not None and self._has_answers:
            return fit_with_answers(
                images,
                texts,
                self._texts_of_others(images),
                scale,
                self.options,
                corrections,
                names=names,
                balance=balance,
                text_logits=text,
                evidence=evidence,
                encoders=encoders,
            )
        return fit_among_other_names(
            images,
            texts,
            self._texts_of_others(images),
            scale,
            self.options,
            names=names,
            balance=balance,
            text_logits=text,
            encoders=encoders,
        )

    def _texts(self, images: Tensor, aggregator: PrototypeAggregator[Any]) -> Tensor:
        """Return the class texts (C, D).

        With `prior: current`, these are the unit means of each class's prototypes.
        """
        if self.options.prior == "zero_shot":
            return self.training.class_features.to(images)
        classifier = aggregator.classifier()
        sums = classifier.weights.new_zeros(len(self.training.class_names), images.shape[1])
        return normalize(sums.index_add_(0, classifier.owners, classifier.weights), dim=1)

    def extras(self) -> dict[str, str | int | float]:
        """Return the numbers of images in doubt, and of images that other names take.

        An image is in doubt if no label is likelier than all others together. The weights of
        encoders follow.
        """
        likeliest, none = (
            [tensor for name, tensor in self.state().items() if name.startswith(f"{kind}.")]
            for kind in ("probabilities", "none")
        )
        facts: dict[str, str | int | float] = {}
        if likeliest:
            facts["Images in doubt"] = sum(int((rows[:, 0] < _HALF).sum()) for rows in likeliest)
        if none:
            kept = sum(int((probability > _HALF).sum()) for probability in none)
            facts["Images nearer to names of other things"] = kept
        for name, weight in self.encoder_weights.items():
            facts[f"Weight of {name} beside the CLIP"] = weight
        return facts

    def state(self) -> dict[str, Tensor]:
        """Return the labels of this epoch, and the encoders' weights."""
        weights = {
            f"encoder.{name}": torch.tensor(weight, dtype=torch.float64)
            for name, weight in self.encoder_weights.items()
        }
        return super().state() | weights

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        super().load_state(state)
        for name in self.encoder_weights:
            self.encoder_weights[name] = float(state[f"encoder.{name}"])

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return one label stream, `transductive`, with the labels of the epoch's start."""
        if self.options.weight == 0:
            return []
        streams = super().assign(batch, image_features, aggregator)
        return [replace(stream, scale=self.options.weight) for stream in streams]
