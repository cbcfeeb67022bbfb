"""Texts that name one class clearly outweigh texts that are undecided."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import Classifier
from latte.toolkit.mixer import MARGIN_FLOOR, margin_weights, mix, mix_descriptions
from tests.helpers.property_inputs import QUICKLY
from tests.helpers.training_driver import unit_rows

DIAGONAL = math.sqrt(0.5)


def one_each(rows: torch.Tensor) -> Classifier:
    return Classifier(rows, torch.arange(len(rows)))


def test_the_weight_is_the_margin_between_the_two_nearest_classes() -> None:
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.6, 0.0, -0.8]])

    weights = margin_weights(texts, one_each(torch.eye(3)))

    assert weights.tolist() == pytest.approx([1.0, 0.2, 0.6], abs=2e-6)


def test_undecided_text_has_the_floor_weight() -> None:
    undecided = torch.tensor([[DIAGONAL, DIAGONAL]])

    assert margin_weights(undecided, one_each(torch.eye(2))).tolist() == [
        pytest.approx(MARGIN_FLOOR)
    ]


def test_when_all_texts_are_undecided_they_count_alike() -> None:
    twins = one_each(torch.eye(2)[[0, 0]])
    texts = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])]

    mixed = mix(texts, [margin_weights(text, twins) for text in texts])

    torch.testing.assert_close(mixed, torch.tensor([[0.8, 0.4]]))


def test_prototypes_of_one_class_do_not_compete() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    text = torch.tensor([[1.0, 0.0]])

    assert margin_weights(text, Classifier(rows, torch.tensor([0, 1, 0]))).item() == (
        pytest.approx(1.0, abs=2e-6)
    )
    assert margin_weights(text, one_each(rows)).item() == pytest.approx(MARGIN_FLOOR)


def test_with_a_single_class_all_texts_weigh_alike() -> None:
    weights = margin_weights(unit_rows(5, 3, seed=0), one_each(unit_rows(1, 3, seed=1)))

    assert weights.tolist() == [1.0] * 5


def test_weights_carry_no_gradient_and_texts_do() -> None:
    texts = [unit_rows(4, 3, seed=index).requires_grad_() for index in range(2)]
    weights = [margin_weights(text, one_each(unit_rows(3, 3, seed=9))) for text in texts]

    torch.autograd.backward(mix(texts, weights).sum())

    for text, weight in zip(texts, weights, strict=True):
        assert not weight.requires_grad
        share = weight / (weights[0] + weights[1])
        assert text.grad is not None
        torch.testing.assert_close(text.grad, share.unsqueeze(1).expand(4, 3))


def test_the_mix_is_not_scaled_to_unit_length() -> None:
    texts = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])]

    mixed = mix(texts, [torch.tensor([0.3]), torch.tensor([0.1])])

    torch.testing.assert_close(mixed, torch.tensor([[0.75, 0.25]]))


@QUICKLY
@given(
    count=st.integers(1, 4),
    rows=st.integers(1, 6),
    width=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
def test_each_sample_is_mixed_with_its_own_weights(
    count: int, rows: int, width: int, seed: int
) -> None:
    texts = [unit_rows(rows, width, seed + index) for index in range(count)]
    weights = [unit_rows(1, rows, seed + index)[0].abs() + 1e-6 for index in range(count)]

    mixed = mix(texts, weights)

    for row in range(rows):
        total = sum(float(weight[row]) for weight in weights)
        for column in range(width):
            expected = sum(
                float(weight[row]) * float(text[row, column])
                for text, weight in zip(texts, weights, strict=True)
            )
            assert float(mixed[row, column]) == pytest.approx(expected / total, abs=1e-12)


def described(seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: unit_rows(4, 6, seed=seed + n) for n, name in enumerate(("a", "b", "c"))}


def test_a_description_counts_by_its_weight_times_its_margin() -> None:
    texts, classifier = described(), one_each(unit_rows(3, 6, seed=9))
    mixed = mix_descriptions(texts, {"a": 3.0, "c": 0.5}, classifier)
    factors = {"a": 3.0, "b": 1.0, "c": 0.5}
    expected = torch.zeros(4, 6, dtype=mixed.dtype)
    for row in range(4):
        margins = {n: float(margin_weights(t[row : row + 1], classifier)) for n, t in texts.items()}
        shares = {name: factors[name] * margin for name, margin in margins.items()}
        for name, share in shares.items():
            expected[row] += texts[name][row] * share / sum(shares.values())
    torch.testing.assert_close(mixed, expected)


def test_without_margins_a_description_counts_by_its_weight_alone() -> None:
    texts = described()
    mixed = mix_descriptions(texts, {"b": 3.0}, None)
    torch.testing.assert_close(mixed, (texts["a"] + 3 * texts["b"] + texts["c"]) / 5)


@pytest.mark.parametrize("margins", [True, False])
def test_weights_of_one_give_identical_bits(margins: bool) -> None:
    texts = {name: text.float() for name, text in described().items()}
    classifier = one_each(unit_rows(3, 6, seed=9).float()) if margins else None
    plain = [*texts.values()]
    before = (
        mix(plain, [margin_weights(text, classifier) for text in plain])
        if classifier
        else torch.stack(plain).mean(dim=0)
    )
    for weights in ({}, dict.fromkeys(texts, 1.0)):
        assert torch.equal(mix_descriptions(texts, weights, classifier), before)
