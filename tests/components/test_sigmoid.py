"""Sigmoid loss against a loop over pairs."""

from __future__ import annotations

import math

import pytest
import torch

from latte.components.losses import SigmoidLoss
from latte.interfaces import LatteError, NoOptions, Supervision
from tests.helpers.training_driver import CONTEXT, stream, unit_rows

LABELS = [0, 1, 0, 2]
IMAGES, TARGETS = unit_rows(4, 3, 0), unit_rows(4, 3, 1)
SCALE, BIAS = torch.tensor(10.0), torch.tensor(-2.0)


def loss(supervision: Supervision) -> float:
    return float(SigmoidLoss(NoOptions(), CONTEXT)(IMAGES, supervision, SCALE))


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.5, 1.0]])
def test_loss_equals_the_loop_over_pairs(weights: list[float]) -> None:
    total = 0.0
    for i, row_weight in enumerate(weights):
        for j, column_weight in enumerate(weights):
            sign = 1 if LABELS[i] == LABELS[j] else -1
            logit = 10.0 * float(IMAGES[i] @ TARGETS[j]) - 2.0
            weight = (row_weight + column_weight) / 2 if row_weight and column_weight else 0.0
            total += weight * math.log1p(math.exp(-sign * logit))
    supervision = Supervision(stream(LABELS, weights), targets=TARGETS, logit_bias=BIAS)
    assert loss(supervision) == pytest.approx(total / sum(weights), rel=1e-5)


def test_model_without_bias_is_refused() -> None:
    with pytest.raises(LatteError, match="the backbone has no bias") as caught:
        loss(Supervision(stream(LABELS), targets=TARGETS))
    assert caught.value.hint == "loss: contrastive"
