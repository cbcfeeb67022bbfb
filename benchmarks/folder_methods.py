"""Run the methods of recipes without steps on frozen features.

A method has labelers, prototypes and optionally a guard. They are called in the order of
`latte.train.loop` and of the stage that calls the guard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any, cast

import torch
from latte_benchmarks.folder_cells import NO_CLASS, Folder
from torch import Tensor

from benchmarks.folder_rivals import RIVALS, Labels
from benchmarks.measuring import no_descriptions
from latte.interfaces import (
    Backbone,
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
from latte.interfaces.errors import did_you_mean
from latte.recipe.component import Choice
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.run.adapted import mixed_classifier

LEARNER = "main"


@dataclass(frozen=True)
class Answers:
    """Classes by which a method labels the images of a folder."""

    own: Tensor
    """(N,) classes of the own images."""
    test: Tensor
    """(M,) classes of unseen images."""
    verdict: Verdict | None = None
    full: Tensor | None = None
    """(N,) classes of the own images by the full candidate; None without a guard."""
    confidence: Tensor | None = None
    """(N,) confidence of `own`; None for a method with a guard."""


Method = Callable[[Folder], Answers]


@dataclass(frozen=True)
class RecipeMethod:
    """Labelers, prototypes and guard of a recipe without steps."""

    registry: Registry
    labelers: tuple[Choice, ...]
    prototypes: Choice
    guard: Choice | None = None

    @torch.no_grad()
    def __call__(self, folder: Folder) -> Answers:
        """Fit to the folder's own images; return classes of these and of the unseen images."""
        context = context_of(folder)
        classifier, labels, confidence = self._fit(folder, context)
        test = classify(classifier, folder.test.features)
        if self.guard is None:
            return Answers(labels, test, confidence=confidence)
        guard = cast("Guard[Any]", self._build(self.guard, context))
        verdict = guard.judge(_evidence(folder, classifier, labels))
        if verdict.strength == 1:
            return Answers(labels, test, verdict, labels)
        mixed = mixed_classifier(folder.texts, classifier, verdict.strength)
        own_labels, test = (
            classify(mixed, images.features) for images in (folder.own, folder.test)
        )
        return Answers(own_labels, test, verdict, labels)

    def _fit(self, folder: Folder, context: Context) -> tuple[Classifier, Tensor, Tensor]:
        """Return the classifier, and the own images' classes (N,) and confidences (N,).

        Classes and confidences are those of the last posterior, if there is one.
        """
        aggregator = cast("PrototypeAggregator[Any]", self._build(self.prototypes, context))
        labelers = [
            cast("PseudoLabeler[Any]", self._build(choice, context)) for choice in self.labelers
        ]
        facts = (folder.names, folder.texts, folder.own.features, zero_shot(folder).own)
        start = TrainingStart(
            *facts,
            no_descriptions,
            corrections=folder.corrections,
            encode_names=folder.encode_names,
        )
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
                return classifier, posterior.labels[:, 0], posterior.probabilities[:, 0]
        logits = folder.logit_scale * classifier.similarities(folder.own.features)
        best = logits.softmax(dim=1).max(dim=1)
        return classifier, best.indices, best.values

    def _build(self, choice: Choice, context: Context) -> Any:
        return self.registry.build(choice, choice.options, context)


def zero_shot(folder: Folder) -> Answers:
    """Return the nearest class texts as classes."""
    own_similarities, test = (
        images.features @ folder.texts.T for images in (folder.own, folder.test)
    )
    return Answers(own_similarities.argmax(dim=1), test.argmax(dim=1))


@dataclass(frozen=True)
class Accuracy:
    """Accuracies in percent: of own images that show a name, and of unseen images."""

    own: float
    unseen: float
    questions: float = 0

    @classmethod
    def mean(cls, accuracies: Sequence[Accuracy]) -> Accuracy:
        """Return the mean accuracies."""
        return cls(mean(draw.own for draw in accuracies), mean(draw.unseen for draw in accuracies))

    def __str__(self) -> str:
        return f"{self.own:.1f} / {self.unseen:.1f}"


def accuracy(folder: Folder, answers: Answers, counted: Tensor | None = None) -> Accuracy:
    """Return the accuracies of `answers`.

    `counted` (N,) are the own images that count; without it, all that show a name.
    """
    if counted is None:
        counted = folder.own.labels != NO_CLASS
    is_right_on_own = answers.own[counted] == folder.own.labels[counted]
    return Accuracy(
        *(
            100 * float(is_right.double().mean())
            for is_right in (is_right_on_own, answers.test == folder.test.labels)
        )
    )


def known_methods(registry: Registry) -> dict[str, Callable[[], Method]]:
    """Return functions that make the methods, by name; they may raise `LatteError`."""

    def of(
        labelers: Mapping[str, Mapping[str, Any]],
        prototypes: str,
        guard: str | None = None,
        **options: Any,
    ) -> Callable[[], Method]:
        return lambda: RecipeMethod(
            registry,
            tuple(_named(registry, "labeler", name, **given) for name, given in labelers.items()),
            _named(registry, "prototypes", prototypes, **options),
            _named(registry, "guard", guard) if guard else None,
        )

    return {
        "zero-shot": lambda: zero_shot,
        "re-estimated": of({}, "re-estimated", image_weight=1.0),
        "mixture alone": of({"transductive": {"other_names": 0, "balance": 0}}, "from-labeler"),
        "transductive": of({"transductive": {}}, "from-labeler"),
        "transductive+evidence": of({"transductive": {}}, "from-labeler", "evidence"),
        **{name: _rival(rival) for name, rival in RIVALS.items()},
    }


def method_called(name: str, registry: Registry) -> Method:
    """Return the method called `name`. Raises `LatteError` if it is unknown or not installed."""
    methods = known_methods(registry)
    if name not in methods:
        hint = f"{did_you_mean(name, [*methods])} All: {', '.join(methods)}".strip()
        raise LatteError(f'there is no method "{name}"', where="--methods", hint=hint)
    return methods[name]()


def method_of(recipe: Recipe, registry: Registry) -> RecipeMethod:
    """Return the method of a recipe. Raises `LatteError` if the recipe has steps or other parts."""
    if len(recipe.learners) > 1 or recipe.train.takes_steps or recipe.descriptions:
        raise LatteError(
            "only a recipe with one learner, without steps and descriptions is a method here",
            where=str(recipe.path),
            hint="set train.max_steps to 0, and leave descriptions out",
        )
    return RecipeMethod(registry, recipe.labels, recipe.learners[0].prototypes, recipe.guard)


def load_method(path: Path, registry: Registry) -> RecipeMethod:
    """Return the method of a recipe's file; the recipe's images and CLIP are not read."""
    unread = {"IMAGES": ".", "CLASSES": "."}
    return method_of(load_recipe(path, registry, environment=unread | dict(os.environ)), registry)


def classify(classifier: Classifier, features: Tensor) -> Tensor:
    """Return the class (N,) of each feature (N, D)."""
    return classifier.similarities(features).argmax(dim=1)


def _evidence(folder: Folder, classifier: Classifier, labels: Tensor) -> Evidence:
    features = folder.own.features
    return Evidence(
        class_names=folder.names,
        class_features=folder.texts,
        image_features=features,
        logit_scale=folder.logit_scale,
        candidates={LEARNER: Candidate(features, classifier, folder.logit_scale)},
        labels=labels,
        trained=False,
        corrections=folder.corrections,
    )


def context_of(folder: Folder) -> Context:
    """Return the context of components; the only value of the CLIP is its logit scale."""
    clip = SimpleNamespace(logit_scale=torch.tensor(folder.logit_scale))
    return Context(Path.cwd(), Path.cwd(), "cpu", 0, lambda: cast("Backbone", clip))


def _named(registry: Registry, kind: Any, name: str, **options: Any) -> Choice:
    spec = registry.get(kind, name)
    values = registry.options_model(spec)(**options)
    return Choice(spec.spec, spec.distribution, spec.version, name, values)


def _rival(rival: Callable[[Folder], Labels]) -> Callable[[], Method]:
    return lambda: lambda folder: Answers(*rival(folder))
