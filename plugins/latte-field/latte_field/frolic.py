"""Frolic's bias correction: logits without the label bias of the CLIP's pre-training.

Source: Zhu, Zhu, Tan, Wang, Hao, Zhang: *Enhancing Zero-Shot Vision Models by Label-Free Prompt
Distribution Learning and Bias Correcting*, NeurIPS 2024, arXiv 2410.19294, section 3.3. Written
from the paper; its other part, distributions of prompts, is not here.

    s_c  = mean of p(· | x_i) over the images whose zero-shot class is c      (column c of S)
    beta = S beta,  sum of beta = 1                      the pre-training's distribution of classes
    label of x = argmax_c log p(c | x) - log beta_c

beta is found by powers of S. The column of a class without images is its unit vector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latte.api import NoOptions
from latte_field.base import FieldFit, FieldLabeler, FieldProblem

_ROUNDS = 200
_TINY = 1e-6


class FrolicLabeler(FieldLabeler[NoOptions]):
    """Labeler that subtracts the logarithm of the CLIP's own class frequencies."""

    stream = "frolic-bias"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the corrected probabilities, and the class texts with a bias as classifier."""
        prior = problem.log_prior
        bias = -class_frequencies(prior.exp()).log()
        rows = problem.scale * problem.texts
        return FieldFit((prior + bias).softmax(dim=1), problem.linear(rows, bias))


def class_frequencies(probabilities: Tensor) -> Tensor:
    """Return beta (C,) from zero-shot probabilities (N, C); entries are at least 1e-6."""
    classes = probabilities.shape[1]
    labels = probabilities.argmax(dim=1)
    sums = probabilities.new_zeros(classes, classes).index_add_(0, labels, probabilities)
    counts = labels.bincount(minlength=classes).unsqueeze(1)
    identity = torch.eye(classes, device=sums.device)
    rows = torch.where(counts > 0, sums / counts.clamp_min(1), identity)
    beta = probabilities.new_full((classes,), 1 / classes)
    for _ in range(_ROUNDS):
        beta = beta @ rows
    beta = beta.clamp_min(_TINY)
    return beta / beta.sum()
