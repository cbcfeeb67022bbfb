"""Error of confidence without answers: zero-shot CLIP's beside that of the labels of a run.

Five kinds of folder are drawn from each set (see `self_taught`). The expected calibration error (15
bins) is printed for own images that show one of the names, and for unseen images: of zero-shot CLIP
at its own logit scale, of self-taught regression as a run calibrates it without labels, and of the
model that the guard `evidence` chooses. Below are self-taught regression with one factor for all
folders, which multiplies the logits: 1 is the temperature of the method. One half of the sets
chooses the factor with the least error, and the other half is judged by it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

from latte_benchmarks.folder_cells import NO_CLASS
from torch import Tensor

from benchmarks.answer_rivals import RivalLabels
from benchmarks.calibration import logits_of
from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.measuring import say, table
from benchmarks.self_taught import (
    KINDS,
    TeachingProblem,
    guarded,
    problems_without_answers,
)
from latte.evaluate.calibration import (
    calibration_error,
    expected_accuracy,
    matching_exponent,
    matching_scale,
)
from latte.models.posterior import OwnImages
from latte.toolkit.self_taught import Taught

FACTORS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)
ConfidenceErrors = tuple[float, float]
"""Calibration errors on own and on unseen images."""
ZERO_SHOT, RUN, GUARDED, CHOSEN = (
    *("zero-shot CLIP", "self-taught, as a run calibrates it"),
    *("the same with the guard", "self-taught, factor of the other half"),
)


@dataclass(frozen=True)
class UntaughtModel:
    """Self-taught regression on a folder without answers."""

    problem: TeachingProblem
    taught: Taught

    @property
    def own_labels(self) -> Tensor:
        """The likeliest classes of the own images."""
        return self.taught.posterior.labels[:, 0]

    @cached_property
    def unseen_logits(self) -> Tensor:
        """Logits of the unseen images by the classifier."""
        return logits_of(self.taught, self.problem.answered.unseen)

    @cached_property
    def zero_shot_logits(self) -> tuple[Tensor, Tensor]:
        """Logits of the own and of the unseen images by zero-shot CLIP."""
        answered = self.problem.answered
        texts = answered.labelled.logit_scale * answered.labelled.texts.T
        return answered.own @ texts, answered.unseen @ texts

    @property
    def label_free(self) -> tuple[float, float]:
        """The exponent and the scale of a run without answers."""
        zero_shot = self.zero_shot_logits[0].softmax(dim=1)
        own_logits = logits_of(self.taught, self.problem.answered.own)
        own, unseen = (
            expected_accuracy(zero_shot, labels)
            for labels in (self.own_labels, own_logits.argmax(dim=1))
        )
        exponent = matching_exponent(self.taught.posterior.probabilities, own)
        return exponent, matching_scale(own_logits, unseen, 1.0)

    def errors(self, exponent: float, scale: float) -> ConfidenceErrors:
        """Return the errors with this exponent of own and this scale of unseen images."""
        confidences = OwnImages(self.taught.posterior, (), exponent).confidences[:, 0]
        own = self._own_error(confidences, self.own_labels)
        return own, self._unseen_error(scale * self.unseen_logits)

    @property
    def zero_shot_errors(self) -> ConfidenceErrors:
        """The errors of zero-shot CLIP."""
        own, unseen = self.zero_shot_logits
        confidences, labels = own.softmax(dim=1).max(dim=1)
        return self._own_error(confidences, labels), self._unseen_error(unseen)

    def accepted(self) -> bool:
        """Return True if the guard accepts the labels."""
        adapted = RivalLabels(self.own_labels, self.unseen_logits.argmax(dim=1))
        return guarded(lambda problem: adapted)(self.problem) is adapted

    def _own_error(self, confidences: Tensor, labels: Tensor) -> float:
        truth = self.problem.answered.labelled.train.labels
        counted = truth != NO_CLASS
        return calibration_error(confidences[counted], (labels == truth)[counted])

    def _unseen_error(self, logits: Tensor) -> float:
        confidences, labels = logits.softmax(dim=1).max(dim=1)
        return calibration_error(confidences, labels == self.problem.answered.labelled.test.labels)


MeasuredErrors = Mapping[tuple[str, str, int], Mapping[str | float, ConfidenceErrors]]
"""Errors by place of the folder, and by method or factor."""


def main(arguments: Sequence[str]) -> None:
    """Print the tables. Raises `LatteError` for a mistake in arguments or files."""
    parser = set_parser("confidence", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--draws", type=positive, default=3)
    options = parser.parse_args(arguments)
    sets = load_sets(options)
    errors = {
        problem.place: errors_of(problem)
        for problem in problems_without_answers(sets, options.draws)
    }
    names = [labelled.name for labelled in sets]
    for part, title in enumerate(("own images", "unseen images")):
        chosen = chosen_factors(errors, (names[::2], names[1::2]), part)
        rows = [
            [_title(name), *(f"{_mean(errors, part, kind, name):.3f}" for kind in (*KINDS, None))]
            for name in (ZERO_SHOT, RUN, GUARDED, *FACTORS)
        ]
        judged = [f"{_judged(errors, part, kind, chosen):.3f}" for kind in (*KINDS, None)]
        say("", table([title, *KINDS, "mean"], [*rows, [CHOSEN, *judged]]))
        say(f"factors that the halves choose: {chosen[names[1]]:g} and {chosen[names[0]]:g}")


def errors_of(problem: TeachingProblem) -> dict[str | float, ConfidenceErrors]:
    """Return the errors of a folder by method, and by factor."""
    model = UntaughtModel(problem, problem.answered.taught(problem.answers))
    run, zero_shot = model.errors(*model.label_free), model.zero_shot_errors
    used = run if model.accepted() else zero_shot
    methods: dict[str | float, ConfidenceErrors] = {ZERO_SHOT: zero_shot, RUN: run, GUARDED: used}
    return methods | {factor: model.errors(factor, factor) for factor in FACTORS}


def chosen_factors(
    errors: MeasuredErrors, halves: Sequence[Sequence[str]], part: int
) -> dict[str, float]:
    """Return, for each set, the factor with which the other half has the least mean error."""

    def best(half: Sequence[str]) -> float:
        places = [place for place in errors if place[0] in half]
        return min(
            FACTORS, key=lambda factor: mean(errors[place][factor][part] for place in places)
        )

    factors = best(halves[1]), best(halves[0])
    return {name: factor for half, factor in zip(halves, factors, strict=True) for name in half}


def _title(name: str | float) -> str:
    return name if isinstance(name, str) else f"factor {name:g}"


def _mean(errors: MeasuredErrors, part: int, kind: str | None, name: str | float) -> float:
    return mean(
        values[name][part] for (_, cell, _), values in errors.items() if kind in (None, cell)
    )


def _judged(
    errors: MeasuredErrors, part: int, kind: str | None, chosen: Mapping[str, float]
) -> float:
    return mean(
        values[chosen[name]][part]
        for (name, cell, _), values in errors.items()
        if kind in (None, cell)
    )
