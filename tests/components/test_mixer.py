"""Texts that name one class clearly outweigh texts that are undecided."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.components.latteclip import MARGIN_FLOOR, margins, mix
from latte.interfaces import Classifier
from tests.helpers.property_inputs import QUICKLY
from tests.helpers.training_driver import unit_rows

DIAGONAL = math.sqrt(0.5)


def one_each(rows: torch.Tensor) -> Classifier:
    return Classifier(rows, torch.arange(len(rows)))


def test_the_weight_is_the_margin_between_the_two_nearest_classes() -> None:
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.6, 0.0, -0.8]])

    weights = margins(texts, one_each(torch.eye(3)))

    assert weights.tolist() == pytest.approx([1.0, 0.2, 0.6], abs=2e-6)


def test_undecided_text_has_the_floor_weight() -> None:
    undecided = torch.tensor([[DIAGONAL, DIAGONAL]])

    assert margins(undecided, one_each(torch.eye(2))).tolist() == [pytest.approx(MARGIN_FLOOR)]


def test_when_all_texts_are_undecided_they_count_alike() -> None:
    twins = one_each(torch.eye(2)[[0, 0]])
    texts = {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[0.6, 0.8]])}

    torch.testing.assert_close(mix(texts, {}, twins), torch.tensor([[0.8, 0.4]]))


def test_prototypes_of_one_class_do_not_compete() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    text = torch.tensor([[1.0, 0.0]])

    assert margins(text, Classifier(rows, torch.tensor([0, 1, 0]))).item() == (
        pytest.approx(1.0, abs=2e-6)
    )
    assert margins(text, one_each(rows)).item() == pytest.approx(MARGIN_FLOOR)


def test_with_a_single_class_all_texts_weigh_alike() -> None:
    weights = margins(unit_rows(5, 3, seed=0), one_each(unit_rows(1, 3, seed=1)))

    assert weights.tolist() == [1.0] * 5


def test_margins_in_blocks_equal_margins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, classifier = unit_rows(7, 6, seed=2), one_each(unit_rows(5, 6, seed=9))
    margins_at_once = margins(texts, classifier)
    monkeypatch.setattr("latte.toolkit.blocks.BLOCK_ENTRIES", 10)

    torch.testing.assert_close(margins(texts, classifier), margins_at_once)
    assert margins(texts[:0], classifier).shape == (0,)


def test_margins_carry_no_gradient_and_texts_do() -> None:
    texts = {name: unit_rows(4, 3, seed).requires_grad_() for seed, name in enumerate("ab")}
    classifier = one_each(unit_rows(3, 3, seed=9))
    weights = {name: margins(text, classifier) for name, text in texts.items()}

    torch.autograd.backward(mix(texts, {}, classifier).sum())

    for name, text in texts.items():
        assert not weights[name].requires_grad
        share = weights[name] / (weights["a"] + weights["b"])
        assert text.grad is not None
        torch.testing.assert_close(text.grad, share.unsqueeze(1).expand(4, 3))


def test_the_mix_is_not_scaled_to_unit_length() -> None:
    texts = {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[0.0, 1.0]])}

    torch.testing.assert_close(mix(texts, {"a": 3.0}, None), torch.tensor([[0.75, 0.25]]))


@QUICKLY
@given(
    count=st.integers(1, 4),
    rows=st.integers(1, 6),
    width=st.integers(2, 5),
    seed=st.integers(0, 10_000),
)
def test_each_sample_is_mixed_with_its_own_margins(
    count: int, rows: int, width: int, seed: int
) -> None:
    texts = {str(index): unit_rows(rows, width, seed + index) for index in range(count)}
    classifier = one_each(unit_rows(3, width, seed + 99))

    mixed = mix(texts, {}, classifier)

    for row in range(rows):
        alone = {name: text[row : row + 1] for name, text in texts.items()}
        torch.testing.assert_close(mixed[row : row + 1], mix(alone, {}, classifier))


def described(seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: unit_rows(4, 6, seed=seed + n) for n, name in enumerate(("a", "b", "c"))}


def test_a_description_counts_by_its_weight_times_its_margin() -> None:
    texts, classifier = described(), one_each(unit_rows(3, 6, seed=9))
    mixed = mix(texts, {"a": 3.0, "c": 0.5}, classifier)
    factors = {"a": 3.0, "b": 1.0, "c": 0.5}
    expected = torch.zeros(4, 6, dtype=mixed.dtype)
    for row in range(4):
        shares = {
            name: factors[name] * float(margins(text[row : row + 1], classifier))
            for name, text in texts.items()
        }
        for name, share in shares.items():
            expected[row] += texts[name][row] * share / sum(shares.values())
    torch.testing.assert_close(mixed, expected)


def test_without_margins_a_description_counts_by_its_weight_alone() -> None:
    texts = described()
    mixed = mix(texts, {"b": 3.0}, None)
    torch.testing.assert_close(mixed, (texts["a"] + 3 * texts["b"] + texts["c"]) / 5)


def test_equal_weights_without_margins_give_the_mean_to_the_bit() -> None:
    texts = {name: text.float() for name, text in described().items()}
    for weights in ({}, dict.fromkeys(texts, 1.0)):
        assert torch.equal(mix(texts, weights, None), torch.stack([*texts.values()]).mean(dim=0))
