"""Label frozen features by the components of a recipe without training steps, without a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from latte.interfaces import (
    Candidate,
    Classifier,
    Context,
    EpochInfo,
    Evidence,
    FeatureBank,
    Guard,
    LatteError,
    PrototypeAggregator,
    PseudoLabeler,
    TrainingStart,
    Verdict,
)
from latte.recipe.component import Choice
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry, load_registry
from latte.registry.spec import Kind

if TYPE_CHECKING:
    from torch import Tensor

LEARNER = "main"


@dataclass(frozen=True)
class FrozenLabels:
    """Labels of images by a method, and its classifier of new images.

    Attributes:
        labels: (N,) int64: the class of each image.
        confidences: (N,): confidence of each label, by the method's posterior or its classifier.
        classifier: Classifier of new images. With a guard, it has the guard's strength.
        verdict: The guard's verdict, if there is a guard.
        candidate_labels: (N,) int64: the classes without the guard.
        none: (N,): probability that the image shows none of the classes; None if unknown.

    Example:
        >>> import torch
        >>> from latte.api import Classifier
        >>> from latte.api.runs import FrozenLabels
        >>> labels = torch.tensor([1, 0])
        >>> classifier = Classifier(torch.eye(2), torch.arange(2))
        >>> FrozenLabels(labels, torch.ones(2), classifier, None, labels).verdict is None
        True
    """

    labels: Tensor
    confidences: Tensor
    classifier: Classifier
    verdict: Verdict | None
    candidate_labels: Tensor
    none: Tensor | None = None


@dataclass(frozen=True)
class FrozenMethod:
    """Labelers, prototypes and guard of a recipe without steps, to label given features.

    Example:
        from latte.api.runs import frozen_method

        method = frozen_method({"transductive": {}}, guard="evidence")
        labels = method.label(start, context).labels  # of a `TrainingStart` and a `Context`
    """

    registry: Registry
    labelers: tuple[Choice, ...]
    prototypes: Choice
    guard: Choice | None = None

    def label(self, start: TrainingStart, context: Context) -> FrozenLabels:
        """Label the images of `start`; components are called in the order of a run."""
        import torch

        with torch.no_grad():
            candidate = self._candidate(start, context)
            if self.guard is None:
                return candidate
            return self._judged(candidate, start, context)

    def _candidate(self, start: TrainingStart, context: Context) -> FrozenLabels:
        """Return labels without the guard: of the last posterior, if there is one."""
        aggregator = cast("PrototypeAggregator[Any]", self._build(self.prototypes, context))
        labelers = [
            cast("PseudoLabeler[Any]", self._build(choice, context)) for choice in self.labelers
        ]
        aggregator.start(start)
        for labeler in labelers:
            labeler.start(start)
        banks, by_name = {LEARNER: FeatureBank(start.image_features)}, {LEARNER: aggregator}
        classifiers: dict[str, Classifier] = {}
        for labeler in labelers:
            seen = banks if labeler.needs_feature_banks else {}
            classifiers |= labeler.on_epoch_start(seen, by_name, 0).classifiers
        aggregator.on_epoch_start(EpochInfo(classifiers), LEARNER)
        classifier = aggregator.classifier()
        for labeler in reversed(labelers):
            if (posterior := labeler.posterior(LEARNER)) is not None:
                labels, confidences = posterior.labels[:, 0], posterior.probabilities[:, 0]
                return FrozenLabels(labels, confidences, classifier, None, labels, posterior.none)
        scale = float(context.frozen_clip().logit_scale)
        logits = scale * classifier.similarities(start.image_features)
        best = logits.softmax(dim=1).max(dim=1)
        return FrozenLabels(best.indices, best.values, classifier, None, best.indices)

    def _judged(
        self, candidate: FrozenLabels, start: TrainingStart, context: Context
    ) -> FrozenLabels:
        from latte.models.adapted import mixed_classifier

        assert self.guard is not None
        features, scale = start.image_features, float(context.frozen_clip().logit_scale)
        evidence = Evidence(
            class_names=start.class_names,
            class_features=start.class_features,
            image_features=features,
            logit_scale=scale,
            candidates={LEARNER: Candidate(features, candidate.classifier, scale)},
            labels=candidate.labels,
            trained=False,
            corrections=start.corrections,
        )
        verdict = cast("Guard[Any]", self._build(self.guard, context)).judge(evidence)
        labels, classifier = candidate.labels, candidate.classifier
        if verdict.strength != 1:
            classifier = mixed_classifier(start.class_features, classifier, verdict.strength)
            labels = classifier.similarities(features).argmax(dim=1)
        return replace(candidate, labels=labels, classifier=classifier, verdict=verdict)

    def _build(self, choice: Choice, context: Context) -> Any:
        return self.registry.build(choice, choice.options, context)


def frozen_method(
    labelers: Mapping[str, Mapping[str, Any]],
    prototypes: str = "from-labeler",
    guard: str | None = None,
    **prototype_options: Any,
) -> FrozenMethod:
    """Return the method with these components.

    Args:
        labelers: options of each labeler, by its name.
        prototypes: name of the prototypes.
        guard: name of the guard, which gets no options; None for no guard.
        **prototype_options: options of the prototypes.

    Raises:
        LatteError: a component is not installed.

    Example:
        >>> from latte.api.runs import frozen_method
        >>> method = frozen_method({}, "re-estimated", image_weight=1.0)
        >>> method.prototypes.options.image_weight
        1.0
    """
    registry = load_registry()
    return FrozenMethod(
        registry,
        tuple(_choice(registry, "labeler", name, options) for name, options in labelers.items()),
        _choice(registry, "prototypes", prototypes, prototype_options),
        _choice(registry, "guard", guard, {}) if guard else None,
    )


def frozen_method_of(recipe: Path) -> FrozenMethod:
    """Return the method of a recipe's file; the recipe's images and CLIP are not read.

    Raises:
        LatteError: the recipe has mistakes, training steps, descriptions or several learners.

    Example:
        from latte.api.runs import frozen_method_of

        method = frozen_method_of(Path("adapt.yaml"))
    """
    unread = {"IMAGES": ".", "CLASSES": "."}
    registry = load_registry()
    return method_of(load_recipe(recipe, registry, environment=unread | dict(os.environ)), registry)


def method_of(recipe: Recipe, registry: Registry) -> FrozenMethod:
    """Return the method of a recipe. Raises `LatteError` if the recipe has steps or other parts."""
    if len(recipe.learners) > 1 or recipe.train.takes_steps or recipe.descriptions:
        raise LatteError(
            "only a recipe with one learner, without steps and descriptions is a method here",
            where=str(recipe.path),
            hint="set train.max_steps to 0, and leave descriptions out",
        )
    return FrozenMethod(registry, recipe.labels, recipe.learners[0].prototypes, recipe.guard)


def _choice(registry: Registry, kind: Kind, name: str, options: Mapping[str, Any]) -> Choice:
    registered = registry.get(kind, name)
    values = registry.options_model(registered)(**options)
    return Choice(registered.spec, registered.distribution, registered.version, name, values)
