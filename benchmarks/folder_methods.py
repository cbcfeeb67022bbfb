"""Run the methods of recipes without steps on frozen features.

A method has labelers, prototypes and optionally a guard. They are called and checked as in a run
(`latte.train.fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any, cast

import torch
from latte_benchmarks.folder_cells import NO_CLASS, Folder
from torch import Tensor

from benchmarks.measuring import no_descriptions
from latte.interfaces import Backbone, Classifier, Context, LatteError, TrainingStart, Verdict
from latte.interfaces.errors import did_you_mean
from latte.run.frozen import FrozenMethod, frozen_method, frozen_method_of


@dataclass(frozen=True)
class FolderLabels:
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
    none: Tensor | None = None
    """(N,) probability that an own image shows none of the names; None if unknown."""


FolderMethod = Callable[[Folder], FolderLabels]


@dataclass(frozen=True)
class RecipeMethod:
    """Labelers, prototypes and guard of a recipe without steps."""

    frozen: FrozenMethod

    def __call__(self, folder: Folder) -> FolderLabels:
        """Fit to the folder's own images; return classes of these and of the unseen images."""
        start = TrainingStart(
            folder.names,
            folder.texts,
            folder.own.features,
            zero_shot(folder).own,
            no_descriptions,
            corrections=folder.corrections,
            encode_names=folder.encode_names,
        )
        fitted = self.frozen.label(start, context_of(folder))
        test = classify(fitted.classifier, folder.test.features)
        if fitted.verdict is None:
            return FolderLabels(
                fitted.labels, test, confidence=fitted.confidences, none=fitted.none
            )
        return FolderLabels(fitted.labels, test, fitted.verdict, fitted.candidate_labels)


def zero_shot(folder: Folder) -> FolderLabels:
    """Return the nearest class texts as classes."""
    own_similarities, test = (
        images.features @ folder.texts.T for images in (folder.own, folder.test)
    )
    return FolderLabels(own_similarities.argmax(dim=1), test.argmax(dim=1))


@dataclass(frozen=True)
class FolderAccuracy:
    """Accuracies in percent: of own images that show a name, and of unseen images."""

    own: float
    unseen: float
    questions: float = 0

    @classmethod
    def mean(cls, accuracies: Sequence[FolderAccuracy]) -> FolderAccuracy:
        """Return the mean accuracies."""
        return cls(mean(draw.own for draw in accuracies), mean(draw.unseen for draw in accuracies))

    def __str__(self) -> str:
        return f"{self.own:.1f} / {self.unseen:.1f}"


def accuracy(
    folder: Folder, answers: FolderLabels, counted: Tensor | None = None
) -> FolderAccuracy:
    """Return the accuracies of `answers`.

    `counted` (N,) are the own images that count; without it, all that show a name.
    """
    if counted is None:
        counted = folder.own.labels != NO_CLASS
    is_right_on_own = answers.own[counted] == folder.own.labels[counted]
    return FolderAccuracy(
        *(
            100 * float(is_right.double().mean())
            for is_right in (is_right_on_own, answers.test == folder.test.labels)
        )
    )


KNOWN: Mapping[str, Callable[[], FolderMethod]] = {
    "zero-shot": lambda: zero_shot,
    "re-estimated": lambda: _method({}, "re-estimated", image_weight=1.0),
    "self-taught": lambda: _method({"self-taught": {}}),
    "self-taught+evidence": lambda: _method({"self-taught": {}}, guard="evidence"),
    "inmap": lambda: _method({"inmap": {"sure": 1.0}}),
    "label-propagation": lambda: _method({"zlap": {"text_power": 2.0, "alpha": 0.5}}),
    "stata": lambda: _method({"stata": {}}),
    "transclip": lambda: _method({"transclip": {}}),
}
"""Functions that make the methods, by name; they may raise `LatteError`."""


def _method(
    labelers: Mapping[str, Mapping[str, Any]],
    prototypes: str = "from-labeler",
    guard: str | None = None,
    **options: Any,
) -> RecipeMethod:
    return RecipeMethod(frozen_method(labelers, prototypes, guard, **options))


def method_called(name: str) -> FolderMethod:
    """Return the method called `name`. Raises `LatteError` if it is unknown or not installed."""
    if name not in KNOWN:
        hint = f"{did_you_mean(name, [*KNOWN])} All: {', '.join(KNOWN)}".strip()
        raise LatteError(f'there is no method "{name}"', where="--methods", hint=hint)
    return KNOWN[name]()


def load_method(path: Path) -> RecipeMethod:
    """Return the method of a recipe's file; the recipe's images and CLIP are not read."""
    return RecipeMethod(frozen_method_of(path))


def classify(classifier: Classifier, features: Tensor) -> Tensor:
    """Return the class (N,) of each feature (N, D)."""
    return classifier.similarities(features).argmax(dim=1)


def context_of(folder: Folder) -> Context:
    """Return the context of components; the only value of the CLIP is its logit scale."""
    clip = SimpleNamespace(logit_scale=torch.tensor(folder.logit_scale))
    return Context(Path.cwd(), Path.cwd(), "cpu", 0, lambda: cast("Backbone", clip))
