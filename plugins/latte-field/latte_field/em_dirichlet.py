"""EM-Dirichlet: each class is a Dirichlet distribution over zero-shot probabilities.

Source: Martin, Huang, Shakeri, Pesquet, Ben Ayed: *Transductive Zero-Shot and Few-Shot CLIP*,
CVPR 2024, arXiv 2405.18437, sections 3 and 4.

    z_i  = softmax(T x_i·t)                     a point of the simplex
    u_ic ∝ Dir(z_i; alpha_c) · pi_c^lambda      with pi_c = mean_i u_ic
    alpha_c = argmax sum_i u_ic log Dir(z_i; alpha_c)

in turns, from u = z. T is 30 for CLIPs with logit scale 100, and 0.3 of the scale here. lambda = 1
is expectation maximisation, to which the paper relates its penalty of many classes. Images that a
person labelled keep their class. alpha is found by Minka's fixed point (*Estimating a Dirichlet
distribution*, 2000): digamma(alpha_cd) = digamma(sum_d alpha_cd) + mean_c log z_d, in place of the
paper's majorisation with the same maximum.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from latte.api import Options
from latte_field.base import FieldFit, FieldLabeler, FieldProblem

_LEAST, _MOST = 1e-3, 1e4
"""Limits of alpha: a class with one image has no finite maximum."""
_TINY = 1e-12
_EULER = 0.5772156649


class DirichletOptions(Options):
    """Options of the labeler `em-dirichlet`."""

    temperature: float = Field(
        default=0.3, gt=0, description="T, as a share of the CLIP's logit scale"
    )
    proportions: float = Field(
        default=1.0, ge=0, description="lambda, exponent of the classes' proportions"
    )
    rounds: int = Field(default=20, ge=1, description="updates of classes and distributions")
    inner_rounds: int = Field(default=30, ge=1, description="updates of alpha in each round")


class DirichletLabeler(FieldLabeler[DirichletOptions]):
    """Labeler that clusters zero-shot probabilities by Dirichlet distributions."""

    stream = "em-dirichlet"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the class probabilities u."""
        temperature = self.options.temperature * problem.scale
        points = (temperature * problem.images @ problem.texts.T).log_softmax(dim=1)
        assigned = problem.with_answers(points.exp())
        alphas = torch.ones_like(points[:1]).repeat(len(problem.texts), 1)
        for _ in range(self.options.rounds):
            sizes = assigned.sum(dim=0).unsqueeze(1)
            means = (assigned.T @ points) / sizes.clamp_min(_TINY)
            fitted = maximum_likelihood(means, alphas, self.options.inner_rounds)
            alphas = torch.where(sizes > _TINY, fitted, alphas)
            proportions = assigned.mean(dim=0).clamp_min(_TINY).log()
            logits = log_density(points, alphas) + self.options.proportions * proportions
            assigned = problem.with_answers(logits.softmax(dim=1))
        return FieldFit(assigned)


def log_density(log_points: Tensor, alphas: Tensor) -> Tensor:
    """Return log Dir(z_i; alpha_c) (N, C) of points with logarithms (N, K), and alphas (C, K)."""
    constant = alphas.sum(dim=1).lgamma() - alphas.lgamma().sum(dim=1)
    return log_points @ (alphas - 1).T + constant


def maximum_likelihood(mean_logs: Tensor, alphas: Tensor, rounds: int) -> Tensor:
    """Return alphas (C, K) of largest likelihood for mean logarithms (C, K), from `alphas`."""
    for _ in range(rounds):
        target = alphas.sum(dim=1, keepdim=True).digamma() + mean_logs
        alphas = inverse_digamma(target).clamp(_LEAST, _MOST)
    return alphas


def inverse_digamma(values: Tensor) -> Tensor:
    """Return y with digamma(y) = `values`, by Minka's first guess and five steps of Newton."""
    inverse = torch.where(values >= -2.22, values.exp() + 0.5, -1 / (values + _EULER))
    for _ in range(5):
        inverse = inverse - (inverse.digamma() - values) / torch.special.polygamma(1, inverse)
        inverse = inverse.clamp_min(_TINY)
    return inverse
