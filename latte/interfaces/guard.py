"""Interface of guards, which decide without labels if a run uses the adapted model.

A guard judges candidates: adapted models, one per learner of the recipe.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from torch import Tensor

    from latte.interfaces.classifier import Classifier

Outcome = Literal["better", "cannot tell", "kept zero-shot"]


@dataclass(frozen=True)
class Candidate:
    """Features, classifier and logit scale of one adapted model that a guard judges, on the CPU.

    Attributes:
        image_features: (N, D'): the model's unit features of the training images; D' is the
            model's feature width.

    Example:
        >>> import torch
        >>> from latte.api import Candidate, Classifier
        >>> classifier = Classifier(torch.eye(2), torch.arange(2))
        >>> Candidate(torch.eye(2), classifier, logit_scale=100.0).logit_scale
        100.0
    """

    image_features: Tensor
    classifier: Classifier
    logit_scale: float


@dataclass(frozen=True)
class Evidence:
    """Input of a guard: tensors on the CPU, without true labels except a person's `corrections`.

    Attributes:
        class_features: (C, D): the zero-shot classifier, one unit row per class.
        image_features: (N, D): frozen unit features of the training images.
        logit_scale: Logit scale of the frozen CLIP.
        candidates: Adapted models by learner name, and encoders that the classifier uses by
            theirs; the run averages their similarities.
        labels: (N,) int64: class of each training image after adapting; from the labeler's
            posterior (class probabilities of training images) if there is one.
        trained: True if the recipe trained the CLIP's weights; candidates are then accepted in full
            or not at all.
        corrections: (N,) int64: class that a person gave to the image, or -1; None if the recipe
            has no corrections. Candidates may have been trained on these classes, so do not use
            them as a test.

    Example:
        >>> import torch
        >>> from latte.api import Candidate, Classifier, Evidence
        >>> rows = torch.eye(2)
        >>> candidate = Candidate(rows, Classifier(rows, torch.arange(2)), 100.0)
        >>> evidence = Evidence(
        ...     class_names=("cat", "dog"), class_features=rows, image_features=rows,
        ...     logit_scale=100.0, candidates={"main": candidate}, labels=torch.arange(2),
        ...     trained=False,
        ... )
        >>> evidence.divisible
        True
    """

    class_names: tuple[str, ...]
    class_features: Tensor
    image_features: Tensor
    logit_scale: float
    candidates: Mapping[str, Candidate]
    labels: Tensor
    trained: bool
    corrections: Tensor | None = None

    @property
    def divisible(self) -> bool:
        """True if the guard may mix the zero-shot classifier with the adapted classifiers.

        A mix requires that no CLIP was trained and that each classifier has one row per class.
        """
        owners = [candidate.classifier.owners for candidate in self.candidates.values()]
        return not self.trained and all(
            len(row_owners) == len(self.class_names) for row_owners in owners
        )


@dataclass(frozen=True)
class Verdict:
    """Decision of a guard: the weight of the adapted model (0 to 1), and the reason.

    Attributes:
        strength: 0 keeps the zero-shot classifier, 1 accepts the adapted model in full. A value in
            between mixes the two classifiers and is allowed only if `Evidence.divisible` is True.
        reason: One clause without a full stop, for readers without a background in statistics.
        signals: Measurements that led to the verdict, by name; all are finite.
        measured: `better` if a person's answers show that the adapted model is better. Guards leave
            it None, because features alone cannot show that.
        names_known: False if CLIP hardly knows the class names, so that zero-shot labels are about
            as good as guessing; True if it knows them better, None if the guard cannot say.

    Example:
        >>> from latte.api import Verdict
        >>> Verdict(1.0, "most images have a clear class").outcome
        'cannot tell'
    """

    strength: float
    reason: str
    signals: Mapping[str, float] = field(default_factory=dict)
    measured: Literal["better"] | None = None
    names_known: bool | None = None

    @property
    def adapt(self) -> bool:
        """True if the run uses the adapted model, alone or mixed with zero-shot CLIP."""
        return self.strength > 0

    @property
    def outcome(self) -> Outcome:
        """Verdict in words: what a person's answers show, or `cannot tell` without them.

        It is `kept zero-shot` if the run does not use the adapted model.
        """
        if not self.adapt:
            return "kept zero-shot"
        return self.measured or "cannot tell"


def check_verdict(verdict: Verdict, *, divisible: bool = True) -> None:
    """Raise `ValueError` if `verdict` is invalid.

    If `divisible` is False (classifiers cannot be mixed), the strength must be 0 or 1.

    Example:
        >>> from latte.api import Verdict, check_verdict
        >>> check_verdict(Verdict(1.0, "the class names fit"))
    """
    if not isinstance(verdict, Verdict):
        raise ValueError(f"it is of type {type(verdict).__name__}, not Verdict")
    numbers = {"strength": verdict.strength, **verdict.signals}
    for name, value in numbers.items():
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is a {type(value).__name__}, not a float: write float(...)")
    if not 0 <= verdict.strength <= 1:
        raise ValueError(f"the strength {verdict.strength} is not between 0 and 1")
    if not divisible and verdict.strength not in (0, 1):
        raise ValueError(
            f"the strength {verdict.strength} is neither 0 nor 1, and nothing is mixed"
        )
    if not verdict.reason.strip() or len(verdict.reason.splitlines()) > 1:
        raise ValueError("the reason is not one line of text")
    for name, value in verdict.signals.items():
        if not math.isfinite(value):
            raise ValueError(f"the signal {name} is not a finite number")
    if not isinstance(verdict.names_known, bool | None):
        kind = type(verdict.names_known).__name__
        raise ValueError(f"names_known is a {kind}, not a bool or None: write bool(...)")


class Guard(Component[OptionsT]):
    """Decides, without labels, which classifier a run uses: adapted, zero-shot or a mix.

    Example:
        >>> from latte.api import Evidence, Guard, NoOptions, Verdict
        >>> class AtLeastFifty(Guard[NoOptions]):
        ...     def judge(self, evidence: Evidence) -> Verdict:
        ...         images = len(evidence.image_features)
        ...         return Verdict(float(images >= 50), f"there are {images} images")
    """

    @abstractmethod
    def judge(self, evidence: Evidence) -> Verdict:
        """Return the decision of the guard; equal `evidence` must get equal verdicts.

        Do not write into the tensors of `evidence`. There may be a single image or a single class,
        and images may be identical.
        """
