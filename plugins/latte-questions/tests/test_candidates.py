"""The loss `partial-labels`: candidate classes of an image, and a run that trains with choices."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from latte_author.testing import LossContract, RunContract, StubClip
from latte_questions.candidates import PartialLabelLoss, PartialLabelOptions
from torch import Tensor

from latte.api import Classifier, Context, LabelStream, Posterior, Supervision

CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)
LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
PROBABILITIES = (0.1, 0.6, 0.05, 0.25)
"""Posterior of the image, by class."""


class TestPartialLabels(LossContract):
    component = "partial-labels"


@pytest.mark.thorough
class TestTrainedChoices(RunContract):
    recipe = """\
describer: phrases
labels: [choices]
prototypes: from-labeler
loss: partial-labels
budget: 30
train: {batch_size: 4, max_epochs: 2, checkpoint_every: 2}
"""
    stops = (4,)


def loss(stream: LabelStream, share: float, images: Tensor = LOGITS) -> float:
    """Return the loss of images whose logits are their features."""
    classifier = Classifier(torch.eye(4), torch.arange(4))
    partial_loss = PartialLabelLoss(PartialLabelOptions(share=share), CONTEXT)
    return float(
        partial_loss(images, Supervision(stream, classifier=classifier), torch.tensor(1.0))
    )


def stream(weight: float = 1.0) -> LabelStream:
    order = torch.tensor([PROBABILITIES]).sort(descending=True)
    posterior = Posterior(order.indices, order.values)
    return LabelStream("choices", order.indices[:, 0], torch.tensor([weight]), 1.0, posterior)


@pytest.mark.parametrize(
    ("share", "candidates"),
    [(0.0, [1]), (0.5, [1]), (0.7, [1, 3]), (0.9, [1, 3, 0]), (1.0, [0, 1, 2, 3])],
)
def test_candidates_are_the_fewest_classes_that_reach_the_share(
    share: float, candidates: list[int]
) -> None:
    expected = -math.log(float(LOGITS.softmax(dim=1)[0, candidates].sum()))
    assert loss(stream(), share) == pytest.approx(expected, abs=1e-5)


def test_a_stream_without_candidates_gives_the_cross_entropy() -> None:
    plain = LabelStream("frozen", torch.tensor([3]), torch.ones(1))
    expected = -math.log(float(LOGITS.softmax(dim=1)[0, 3]))
    assert loss(plain, 0.9) == pytest.approx(expected, abs=1e-5)


def test_images_count_by_their_weight() -> None:
    weighted, weightless = stream(0.5), stream(0.0)
    order = torch.tensor([PROBABILITIES, PROBABILITIES]).sort(descending=True)
    joined = LabelStream(
        "choices",
        torch.cat([weighted.labels, weightless.labels]),
        torch.cat([weighted.weights, weightless.weights]),
        posterior=Posterior(order.indices, order.values),
    )
    images = torch.cat([LOGITS, -LOGITS])
    assert loss(joined, 0.9, images) == pytest.approx(loss(weighted, 0.9), abs=1e-5)
