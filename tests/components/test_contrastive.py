"""Contrastive loss against loops over pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from latte.components.latteclip import ContrastiveLoss
from latte.interfaces import Classifier, LatteError, NoOptions, Supervision
from tests.helpers.property_inputs import QUICKLY, drawn_labels
from tests.helpers.training_driver import CONTEXT, stream, unit_rows


def contrast(
    images: Tensor,
    targets: Tensor,
    labels: list[int],
    weights: list[float] | None = None,
    learned: float = 10.0,
) -> Tensor:
    supervision = Supervision(stream(labels, weights), targets=targets)
    return ContrastiveLoss(NoOptions(), CONTEXT)(
        images, supervision, torch.tensor(learned, dtype=images.dtype)
    )


def loop(images: Tensor, targets: Tensor, weights: list[float]) -> float:
    """Definition of the loss in loops over pairs, at scale 10."""
    weighted = [i for i, weight in enumerate(weights) if weight > 0]
    total = 0.0
    for i in weighted:
        for direction in ("image picks target", "target picks image"):
            logit = {
                j: 10.0
                * float(
                    images[i] @ targets[j]
                    if direction == "image picks target"
                    else images[j] @ targets[i]
                )
                for j in weighted
            }
            everything = math.log(sum(math.exp(value) for value in logit.values()))
            total += weights[i] * (everything - logit[i]) / 2
    return total / sum(weights) if weighted else 0.0


@QUICKLY
@given(
    rows=st.integers(1, 8),
    classes=st.integers(1, 4),
    width=st.integers(1, 6),
    seed=st.integers(0, 10_000),
    data=st.data(),
)
def test_loss_equals_the_loop_over_pairs(
    rows: int, classes: int, width: int, seed: int, data: st.DataObject
) -> None:
    images, targets = unit_rows(rows, width, seed), unit_rows(rows, width, seed + 1)
    labels = drawn_labels(rows, classes, seed).tolist()
    weights = data.draw(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=rows, max_size=rows))

    computed = contrast(images, targets, labels, weights)

    expected = loop(images, targets, weights)
    assert computed.item() == pytest.approx(expected, abs=1e-10)


def test_sample_of_weight_zero_equals_its_absence() -> None:
    images = unit_rows(5, 8, seed=3).requires_grad_()
    targets = unit_rows(5, 8, seed=4).requires_grad_()
    labels, weights = [0, 1, 0, 1, 0], [1.0, 0.0, 0.5, 1.0, 0.0]
    weighted_rows = [0, 2, 3]

    loss = contrast(images, targets, labels, weights)
    gradients = torch.autograd.grad(loss, (images, targets))

    without = contrast(
        images[weighted_rows],
        targets[weighted_rows],
        [labels[i] for i in weighted_rows],
        [weights[i] for i in weighted_rows],
    )
    expected = torch.autograd.grad(without, (images, targets))
    torch.testing.assert_close(loss, without)
    torch.testing.assert_close(gradients, expected)
    assert gradients[0][[1, 4]].count_nonzero() == 0


def test_with_no_sample_left_it_is_zero_and_so_is_its_gradient() -> None:
    images = unit_rows(3, 4, seed=5).requires_grad_()

    loss = contrast(images, unit_rows(3, 4, seed=6), [0, 0, 1], [0.0] * 3)
    torch.autograd.backward(loss)

    assert loss.item() == 0.0
    assert images.grad is not None
    assert images.grad.count_nonzero() == 0


def test_gradients_are_those_of_finite_differences() -> None:
    images = unit_rows(4, 3, seed=7).requires_grad_()
    targets = unit_rows(4, 3, seed=8).requires_grad_()

    def loss(f: Tensor, z: Tensor) -> Tensor:
        return contrast(f, z, [0, 0, 1, 1], [1.0, 0.5, 0.0, 1.0], learned=2.0)

    assert torch.autograd.gradcheck(loss, (images, targets))


def test_the_learned_scale_gets_gradient() -> None:
    scale = torch.tensor(10.0, dtype=torch.float64, requires_grad=True)
    supervision = Supervision(stream([0, 1]), targets=unit_rows(2, 4, seed=1))

    loss = ContrastiveLoss(NoOptions(), CONTEXT)(unit_rows(2, 4, seed=2), supervision, scale)

    assert torch.autograd.grad(loss, scale)[0] != 0


def test_longer_targets_are_sharper_because_they_are_not_normalised() -> None:
    images, targets = unit_rows(4, 8, seed=1), unit_rows(4, 8, seed=2)
    labels = [0, 1, 2, 3]

    assert contrast(images, targets * 3, labels, learned=10.0) == pytest.approx(
        contrast(images, targets, labels, learned=30.0)
    )


def test_prototypes_without_targets_are_refused_with_a_way_out() -> None:
    supervision = Supervision(
        stream([0]), classifier=Classifier(unit_rows(2, 4, seed=1), torch.arange(2))
    )

    with pytest.raises(LatteError, match="needs a target for each image") as error:
        ContrastiveLoss(NoOptions(), CONTEXT)(
            unit_rows(1, 4, seed=2), supervision, torch.tensor(1.0)
        )

    assert "momentum" in str(error.value)
