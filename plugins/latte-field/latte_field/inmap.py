"""InMaP: class weights in the space of images, learned from balanced pseudo-labels.

Source: Qian, Xu, Hu: *Intra-Modal Proxy Learning for Zero-Shot Visual Categorization with CLIP*,
NeurIPS 2023, sections 3.2 and 3.3, equations (7) to (9).

    P  = softmax(x·t / tau_t), then 20 rounds of Sinkhorn: all columns of P get the same sum
    P  -> one-hot where the largest entry is above 0.6
    W  = argmin over unit rows of  -(1/N) sum_i sum_c P_ic log softmax(x_i·W / tau_i)_c
    label of x = argmax_c x·w_c

The minimum is approached as in the published code (Apache 2.0): 2,000 steps of gradient descent of
length 10 / tau_i, which is halved whenever the gradient grows; rows are then scaled to length 1.

Published for CLIPs with logit scale 100: tau_t = 1/100, tau_i = 1/25. Here tau_t = 1/scale and
tau_i = 4/scale.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from latte.api import Options
from latte_field.base import FieldFit, FieldLabeler, FieldProblem

_STEPS, _RATE = 2_000, 10.0
_TINY = 1e-30


class InmapOptions(Options):
    """Options of the labeler `inmap`."""

    softer: float = Field(
        default=4.0, gt=0, description="tau_i / tau_t, of the temperatures of images and texts"
    )
    sinkhorn_rounds: int = Field(
        default=20, ge=0, description="rounds that balance the classes; 0: labels of zero-shot CLIP"
    )
    sure: float = Field(
        default=0.6, ge=0.5, le=1.0, description="probability above which a label becomes one-hot"
    )


class InmapLabeler(FieldLabeler[InmapOptions]):
    """Labeler that learns one unit row per class from balanced labels of all images."""

    stream = "inmap"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the softmax of the learned rows' logits, and the rows as classifier."""
        targets = balanced(problem.log_prior.exp(), self.options.sinkhorn_rounds)
        best, labels = targets.max(dim=1, keepdim=True)
        hard = one_hot(labels.squeeze(1), targets.shape[1]).to(targets)
        targets = torch.where(best > self.options.sure, hard, targets)
        temperature = self.options.softer / problem.scale
        rows = proxies(problem.images, problem.texts, targets, temperature)
        probabilities = (problem.images @ rows.T / temperature).softmax(dim=1)
        return FieldFit(probabilities, problem.linear(problem.scale * rows))


def balanced(probabilities: Tensor, rounds: int) -> Tensor:
    """Scale columns, then rows, of `probabilities` (N, C) to sums N / C and 1, `rounds` times."""
    images, classes = probabilities.shape
    for _ in range(rounds):
        columns = probabilities.sum(dim=0).clamp_min(_TINY)
        probabilities = probabilities / columns * (images / classes)
        probabilities = probabilities / probabilities.sum(dim=1, keepdim=True).clamp_min(_TINY)
    return probabilities


def proxies(images: Tensor, texts: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return unit rows (C, D) of low cross-entropy to `targets` (N, C), by gradient descent.

    Rows are scaled to unit length after each step, and steps are halved when the gradient grows.
    """
    rows, goal = texts, targets.T @ images
    step, earlier = _RATE / (len(images) * temperature), math.inf
    for _ in range(_STEPS):
        gradient = (images @ rows.T / temperature).softmax(dim=1).T @ images - goal
        length = float(gradient.norm())
        step, earlier = (step / 2 if length > earlier else step), length
        rows = normalize(rows - step * gradient, dim=1)
    return rows
