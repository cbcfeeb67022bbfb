"""The loss UEO against its formula, and a run that trains with it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from latte_author.testing import RunContract, StubClip
from latte_field.ueo import UniversalEntropy
from torch.nn.functional import normalize

from latte.api import Classifier, Context, LabelStream, NoOptions, Posterior, Supervision

CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)


@pytest.mark.thorough
class TestTraining(RunContract):
    recipe = """\
labels: [soft-zero-shot]
prototypes: templates
loss: ueo
train: {batch_size: 4, max_epochs: 2, checkpoint_every: 2}
"""
    stops = (4,)


def entropy(shares: list[float]) -> float:
    return -sum(share * math.log(share) for share in shares)


def test_loss_is_that_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    images, rows = (normalize(torch.randn(4, 3, generator=generator), dim=1) for _ in range(2))
    sureness = [0.9, 0.4, 0.6, 0.3]
    posterior = Posterior(torch.zeros(4, 1, dtype=torch.int64), torch.tensor(sureness)[:, None])
    stream = LabelStream("soft", posterior.labels[:, 0], torch.ones(4), 1.0, posterior)
    supervision = Supervision(stream, classifier=Classifier(rows, torch.arange(4)))
    loss = UniversalEntropy(NoOptions(), CONTEXT)(images, supervision, torch.tensor(5.0))
    shares = (5 * images @ rows.T).softmax(dim=1).tolist()
    low = sum(weight * entropy(row) for weight, row in zip(sureness, shares, strict=True))
    inverse = [1 / weight for weight in sureness]
    mean = [
        sum(weight * row[label] for weight, row in zip(inverse, shares, strict=True)) / sum(inverse)
        for label in range(4)
    ]
    assert float(loss) == pytest.approx(low / sum(sureness) - entropy(mean), abs=1e-5)
