"""OTTER: labels by optimal transport to a given distribution of classes.

Source: Shin, Zhao, Cromp, Vishwakarma, Sala: *OTTER: Effortless Label Distribution Adaptation of
Zero-shot Models*, NeurIPS 2024, arXiv 2404.08461, section 3, algorithm 1.

    cost C_ic = -log p(c | x_i)
    plan = argmin over P >= 0 of sum P_ic C_ic,  rows of P sum to 1/N, columns to nu_c
    label of x_i = argmax_c P_ic

The paper takes nu as known; without knowledge it is uniform, and so it is here. The plan has the
form of a classifier: label = argmax_c log p(c | x) + v_c with the dual variables v. They are found
by Sinkhorn's iterations with an entropy term that falls by halves to 1/500 of the cost's unit.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from latte.api import Options
from latte_field.base import FieldFit, FieldLabeler, FieldProblem

_FIRST, _LAST = 1.0, 0.002
"""First and last strength of the entropy term."""


class OtterOptions(Options):
    """Options of the labeler `otter`."""

    rounds: int = Field(
        default=60, ge=1, description="iterations of Sinkhorn for each strength of the entropy term"
    )


class OtterLabeler(FieldLabeler[OtterOptions]):
    """Labeler that moves the zero-shot probabilities to equally frequent classes."""

    stream = "otter"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the softmax of the shifted logits, and the shifted class texts as classifier."""
        prior = problem.log_prior
        shift = class_shifts(prior, self.options.rounds)
        rows = problem.scale * problem.texts
        return FieldFit((prior + shift).softmax(dim=1), problem.linear(rows, shift))


def class_shifts(log_prior: Tensor, rounds: int) -> Tensor:
    """Return the dual variables v (C,) of the classes, for columns of equal sums."""
    images, classes = log_prior.shape
    shift = log_prior.new_zeros(classes)
    strength = _FIRST
    while True:
        for _ in range(rounds):
            scores = (log_prior + shift) / strength
            plan = scores - scores.logsumexp(dim=1, keepdim=True)
            missing = math.log(images / classes) - plan.logsumexp(dim=0)
            shift = shift + strength * missing
        if strength <= _LAST:
            return shift - shift.mean()
        strength = max(strength / 2, _LAST)
