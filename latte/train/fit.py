"""One order of calls: how labelers, prototypes and a guard work together, with steps or without.

The training loop calls `Method.start` once and `Method.start_epoch` before each epoch. Everything
that fits to frozen features calls `fit`, and `judge` lets a guard decide on the fit: a run without
training steps, the fits without some answers, a forecast of questions, and `latte field`. Both are
silent, read no file and encode nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from latte.evaluate.similarities import Similarities, agreement, mean_similarities
from latte.interfaces import (
    Candidate,
    Classifier,
    EpochInfo,
    Evidence,
    FeatureBank,
    Guard,
    LatteError,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    TrainingStart,
    Verdict,
)
from latte.interfaces.classifier import cpu_copy
from latte.interfaces.guard import check_verdict
from latte.interfaces.provider import blaming
from latte.interfaces.training import check_posterior
from latte.train.checked import check_epoch_info, usable_classifier
from latte.train.timing import EPOCH_STARTS, timed

LEAST_AGREEMENT = 0.75
"""A classifier that agrees with the posterior less than this share of zero-shot's is wrong."""


@dataclass(frozen=True)
class Method:
    """Labelers and prototypes, built and ready to fit."""

    labelers: Mapping[str, PseudoLabeler[Any]]
    """The labelers by their names in the recipe; all learners share them."""
    prototypes: Mapping[str, PrototypeAggregator[Any]]
    """The prototypes by learner, at least one."""

    def start(self, start: TrainingStart) -> None:
        """Prepare the prototypes, then the labelers."""
        for aggregator in self.prototypes.values():
            aggregator.start(start)
        for labeler in self.labelers.values():
            labeler.start(start)

    def start_epoch(
        self,
        epoch: int,
        feature_bank: Callable[[str], FeatureBank],
        start: TrainingStart,
    ) -> dict[str, Classifier]:
        """Start an epoch of the labelers that are due, then of the prototypes.

        `feature_bank` returns the features of the training images by the learner with this name; it
        is called only if a labeler needs them. Returns the classifiers that labelers return for
        encoders. Raises `LatteError` that names the package of a labeler which returns a classifier
        that cannot be used.
        """
        due_labelers = [
            labeler
            for labeler in self.labelers.values()
            if epoch == 0 or labeler.refresh == "epoch"
        ]
        banks: Mapping[str, FeatureBank] = {}
        if any(labeler.needs_feature_banks for labeler in due_labelers):
            banks = {learner: feature_bank(learner) for learner in self.prototypes}
        classifiers: dict[str, Classifier] = {}
        for labeler in due_labelers:
            seen = banks if labeler.needs_feature_banks else {}
            info = labeler.on_epoch_start(seen, self.prototypes, epoch)
            check_epoch_info(labeler, info, len(start.class_names), self._widths(start))
            classifiers |= info.classifiers
        encoders = start.encoder_features
        of_encoders = {name: classifiers.pop(name) for name in encoders if name in classifiers}
        for learner, aggregator in self.prototypes.items():
            aggregator.on_epoch_start(EpochInfo(classifiers), learner)
        return of_encoders

    def _widths(self, start: TrainingStart) -> dict[str, int]:
        """Return the feature width of each learner and of each encoder, by name."""
        encoders = start.encoder_features.items()
        return {
            **dict.fromkeys(self.prototypes, start.image_features.shape[1]),
            **{name: features.shape[1] for name, features in encoders},
        }


@dataclass(frozen=True)
class Fit:
    """An adapted classifier of images, and what it was fitted to; all tensors are on the CPU."""

    classifiers: Mapping[str, Classifier]
    """The classifiers of the learners, then those of the encoders that the model uses, by name."""
    features: Mapping[str, Tensor]
    """The features (N, D') of the training images that each classifier takes."""
    posterior: Posterior | None = None
    """Class probabilities of the training images; None if no labeler returns any."""

    @property
    def similarities(self) -> Similarities:
        """The mean similarities (N, C) of the training images, computed when they are used."""
        classifiers, features = [*self.classifiers.values()], [*self.features.values()]
        return Similarities(
            len(features[0]),
            classifiers[0].classes,
            lambda rows: mean_similarities(classifiers, [part[rows] for part in features]),
        )

    @cached_property
    def labels(self) -> Tensor:
        """The class (N,) of each training image: by the posterior, or else by the classifiers."""
        return self.similarities.labels() if self.posterior is None else self.posterior.labels[:, 0]


def fit(method: Method, start: TrainingStart) -> Fit:
    """Fit a method to the frozen features of `start`, in one epoch without training steps.

    Raises `LatteError` if a labeler returns a posterior, or a classifier for an encoder, that
    cannot be used.
    """
    method.start(start)
    bank = FeatureBank(start.image_features)
    with timed(EPOCH_STARTS):
        of_encoders = method.start_epoch(0, lambda learner: bank, start)
    classifiers = {}
    for learner, aggregator in method.prototypes.items():
        if aggregator.class_features_refresh != "start":
            aggregator.refresh_class_features(start.class_features)
        classifiers[learner] = usable_classifier(aggregator, *start.class_features.shape)
    classifiers = {
        name: cpu_copy(classifier) for name, classifier in (classifiers | of_encoders).items()
    }
    return Fit(classifiers, frozen_features(start, classifiers), _posterior(method, start))


def frozen_features(start: TrainingStart, names: Collection[str]) -> dict[str, Tensor]:
    """Return the features (N, D') of the training images that each of `names` takes, on the CPU.

    The names are those of learners, whose CLIP is frozen, and of encoders.
    """
    clip_features, encoders = start.image_features.cpu(), start.encoder_features
    return {name: encoders[name].cpu() if name in encoders else clip_features for name in names}


def _posterior(method: Method, start: TrainingStart) -> Posterior | None:
    """Return the posterior of the last labeler that has one. Raises `LatteError` if it is invalid.

    Labelers are asked for the posterior of the first learner.
    """
    learner = next(iter(method.prototypes))
    posteriors = {name: labeler.posterior(learner) for name, labeler in method.labelers.items()}
    for name, posterior in reversed(posteriors.items()):
        if posterior is not None:
            _check_posterior(method.labelers[name], posterior, start)
            return posterior
    return None


def _check_posterior(
    labeler: PseudoLabeler[Any], posterior: Posterior, start: TrainingStart
) -> None:
    with blaming(labeler, "its posterior"):
        check_posterior(posterior, len(start.class_names))
        if (rows := len(posterior.labels)) != len(start.image_features):
            raise ValueError(f"it is about {rows} and not {len(start.image_features)} images")


def judge(
    fitted: Fit,
    start: TrainingStart,
    guard: Guard[Any],
    name: str,
    trained_scales: Mapping[str, float] | None = None,
) -> Verdict:
    """Let a guard judge the adapted classifier, and return its verdict; see also `conflict`.

    Errors call the guard by its `name` in the recipe. If the CLIP was trained, `trained_scales` are
    the logit scales of the learners. Raises `LatteError` for an impossible verdict.
    """
    logit_scale = float(guard.context.frozen_clip().logit_scale.detach())
    scales = trained_scales or dict.fromkeys(fitted.classifiers, logit_scale)
    evidence = Evidence(
        class_names=start.class_names,
        class_features=start.class_features.cpu(),
        image_features=start.image_features.cpu(),
        logit_scale=logit_scale,
        candidates={
            member: Candidate(fitted.features[member], classifier, scales[member])
            for member, classifier in fitted.classifiers.items()
        },
        labels=fitted.labels,
        trained=trained_scales is not None,
        corrections=None if start.corrections is None else start.corrections.cpu(),
    )
    verdict = guard.judge(evidence)
    try:
        check_verdict(verdict, divisible=evidence.divisible)
    except ValueError as error:
        raise LatteError(
            f"its verdict cannot be used: {error}",
            where=f"guard {name}",
            hint="report it to the author of the plugin; without a guard: --set guard=null",
        ) from error
    return without_conflict(verdict, conflict(fitted, start))


def conflict(fitted: Fit, start: TrainingStart) -> str | None:
    """Return a sentence if the classifier contradicts the posterior, else None.

    Guards see the posterior's labels of the training images, but `predict` uses the classifier for
    new images. So both should give the same label to most training images. If this share is below
    `LEAST_AGREEMENT` times the share for zero-shot CLIP and the posterior, there is probably a
    mistake, such as a wrong order of rows. On 25 labelled sets and parts of them, the share was
    at least 87 % for self-taught regression, and never below the share for zero-shot CLIP.
    """
    if fitted.posterior is None:
        return None
    labels = fitted.posterior.labels[:, 0].cpu()
    agreed = agreement(fitted.similarities.labels(), labels)
    zero_shot_agreement = agreement(start.zero_shot_labels.cpu(), labels)
    if agreed >= LEAST_AGREEMENT * zero_shot_agreement:
        return None
    return (
        "the classifier for new images does not classify as the own images were labelled: on "
        f"{agreed:.0%} of them it gives their label (zero-shot CLIP: {zero_shot_agreement:.0%}), "
        "so report this to the author of the labeler"
    )


def without_conflict(verdict: Verdict, reason: str | None) -> Verdict:
    """Return the verdict; with the `reason` of a conflict, one that keeps zero-shot CLIP."""
    if reason is None:
        return verdict
    return replace(verdict, strength=0.0, reason=reason, measured=None)
