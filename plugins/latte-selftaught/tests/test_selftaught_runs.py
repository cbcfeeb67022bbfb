"""The labeler in whole runs: squares of one colour, with a tiny random CLIP."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing import RunContract, TinyRuns
from safetensors.torch import load_file

pytestmark = pytest.mark.thorough

UNTRAINED = """\
labels: [self-taught]
prototypes: from-labeler
train: {max_steps: 0}
"""


class TestTrained(RunContract):
    recipe = """\
descriptions: [class]
labels: [{use: self-taught, weight: 0.5}, frozen]
prototypes: momentum
loss: contrastive
trainable: projections
train: {batch_size: 4, max_epochs: 3, checkpoint_every: 2, optimizer: {learning_rate: 1.0e-3}}
"""
    stops = (4, 5)


def test_the_regression_is_a_method_without_training(latte_runs: TinyRuns) -> None:
    run = latte_runs.run(UNTRAINED)
    posterior = load_file(run / "models/adapted/posterior.safetensors")
    assert posterior["labels"].shape == posterior["probabilities"].shape == (12, 3)
    rows = load_file(run / "models/adapted/prototypes.safetensors")["main.weights"]
    zero_shot = load_file(run / "zero_shot.safetensors")["class_features"]
    assert rows.shape == zero_shot.shape
    assert not torch.allclose(rows, zero_shot, atol=1e-2)
