"""Guards: is the adapted classifier better than plain CLIP on images like these?"""

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

LIKELY = 0.8
"""The probability from which a verdict says `likely better`."""

Outcome = Literal["likely better", "cannot tell", "kept zero-shot"]


@dataclass(frozen=True)
class Candidate:
    """One learner as the recipe adapted it, on the CPU."""

    image_features: Tensor
    """(N, D'): unit features of the training images by this learner's image tower."""
    classifier: Classifier
    logit_scale: float


@dataclass(frozen=True)
class Evidence:
    """What a guard may look at, on the CPU. Nothing here comes from a label."""

    class_names: tuple[str, ...]
    class_features: Tensor
    """(C, D): the zero-shot classifier, one unit row per class."""
    image_features: Tensor
    """(N, D): frozen unit features of the training images."""
    logit_scale: float
    """Of the frozen CLIP."""
    candidates: Mapping[str, Candidate]
    """By learner name; the run averages their similarities."""
    labels: Tensor
    """(N,) int64: the adapted class of each training image, by the posterior where there is one."""
    trained: bool
    """Whether the recipe trained a CLIP; if not, candidates can be taken in part."""

    @property
    def divisible(self) -> bool:
        """Whether a strength between 0 and 1 is allowed: nothing trained, and one row per class."""
        owners = [one.classifier.owners for one in self.candidates.values()]
        return not self.trained and all(len(one) == len(self.class_names) for one in owners)


@dataclass(frozen=True)
class Verdict:
    """What a guard says about the candidates of a run."""

    strength: float
    """0 keeps zero-shot, 1 takes the candidates. In between the run mixes the two classifiers,
    which is allowed where `Evidence.divisible` is true."""
    reason: str
    """One clause without a final dot, for people without a background in statistics."""
    probability: float | None = None
    """That adapting helps on images like these; None where the guard gives none."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Finite numbers that the verdict was read from, by name."""

    @property
    def adapt(self) -> bool:
        """Whether the run changes anything."""
        return self.strength > 0

    @property
    def outcome(self) -> Outcome:
        """The verdict in two words; without a probability, adapting counts as `likely better`."""
        if not self.adapt:
            return "kept zero-shot"
        sure = self.probability is None or self.probability >= LIKELY
        return "likely better" if sure else "cannot tell"


def check_verdict(verdict: Verdict, *, divisible: bool = True) -> None:
    """Raise `ValueError` for a verdict that no run can follow or write down."""
    if not 0 <= verdict.strength <= 1:
        raise ValueError(f"the strength {verdict.strength} is not between 0 and 1")
    if not divisible and verdict.strength not in (0, 1):
        raise ValueError(
            f"the strength {verdict.strength} is neither 0 nor 1, and nothing is mixed"
        )
    if verdict.probability is not None and not 0 <= verdict.probability <= 1:
        raise ValueError(f"the probability {verdict.probability} is not between 0 and 1")
    if not verdict.reason.strip() or len(verdict.reason.splitlines()) > 1:
        raise ValueError("the reason is not one line of text")
    for name, value in verdict.signals.items():
        if not math.isfinite(value):
            raise ValueError(f"the signal {name} is not a finite number")


class Guard(Component[OptionsT]):
    """Decides without labels, after adapting, how much of the adapted classifier a run takes."""

    @abstractmethod
    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict: equal for equal evidence, whose tensors stay as they are.

        Any number of images and classes may come, also one, and images may be identical.
        """
