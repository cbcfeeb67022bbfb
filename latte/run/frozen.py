"""Label frozen features by the components of a recipe without training steps, without a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from latte.interfaces import (
    Classifier,
    Context,
    Guard,
    LatteError,
    TrainingStart,
    Verdict,
)
from latte.recipe.component import ChosenComponent
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry, load_registry
from latte.registry.spec import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from latte.train.fit import Fit, Method

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

        method = frozen_method({"self-taught": {}}, guard="evidence")
        labels = method.label(start, context).labels  # of a `TrainingStart` and a `Context`
    """

    registry: Registry
    labelers: tuple[ChosenComponent, ...]
    prototypes: ChosenComponent
    guard: ChosenComponent | None = None

    def label(self, start: TrainingStart, context: Context) -> FrozenLabels:
        """Fit the method to `start` and label its images, as a run does.

        Raises `LatteError` if a posterior or the guard's verdict cannot be used.
        """
        from latte.train.fit import fit, judge

        fitted = fit(built(self, context), start)
        candidate = _unjudged(fitted, start, context)
        if self.guard is None:
            return candidate
        guard = cast("Guard[Any]", self.registry.build(self.guard, self.guard.options, context))
        return _judged(fitted, candidate, start, judge(fitted, start, guard, self.guard.label))


def built(method: FrozenMethod, context: Context) -> Method:
    """Build the labelers and prototypes of a method, which has one learner."""
    from latte.train.fit import Method

    def build(choice: ChosenComponent) -> Any:
        return method.registry.build(choice, choice.options, context)

    labelers = {choice.label: build(choice) for choice in method.labelers}
    return Method(labelers, {LEARNER: build(method.prototypes)})


def _unjudged(fitted: Fit, start: TrainingStart, context: Context) -> FrozenLabels:
    """Return the labels without a guard: of the posterior, if there is one."""
    import torch

    labels, classifier = fitted.labels, fitted.classifiers[LEARNER]
    if (posterior := fitted.posterior) is not None:
        confidences = posterior.probabilities[:, 0]
        return FrozenLabels(labels, confidences, classifier, None, labels, posterior.none)
    scale = float(context.frozen_clip().logit_scale.detach())
    blocks = [(scale * block).softmax(dim=1).amax(dim=1) for block in fitted.similarities]
    return FrozenLabels(labels, torch.cat(blocks), classifier, None, labels)


def _judged(
    fitted: Fit, candidate: FrozenLabels, start: TrainingStart, verdict: Verdict
) -> FrozenLabels:
    """Return the labels of the model that a run with this verdict uses."""
    import torch

    from latte.models.adapted import mixed_classifiers

    labels, classifier = candidate.labels, candidate.classifier
    if verdict.strength == 0:
        labels = start.zero_shot_labels
        classifier = Classifier(start.class_features, torch.arange(len(start.class_features)))
    elif verdict.strength < 1:
        adapted, encoders = fitted.classifiers, {*fitted.classifiers} - {LEARNER}
        mixed = mixed_classifiers(start.class_features, adapted, encoders, verdict.strength)
        labels = replace(fitted, classifiers=mixed, posterior=None).labels
        classifier = mixed[LEARNER]
    return replace(candidate, labels=labels, classifier=classifier, verdict=verdict)


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


def _choice(
    registry: Registry, kind: Kind, name: str, options: Mapping[str, Any]
) -> ChosenComponent:
    registered = registry.get(kind, name)
    values = registry.options_model(registered)(**options)
    return ChosenComponent(
        registered.spec, registered.distribution, registered.version, name, values
    )
