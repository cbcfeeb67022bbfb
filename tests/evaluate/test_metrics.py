"""Accuracies compared with slow counting, one image at a time."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from pydantic import TypeAdapter
from torch import Tensor

from latte.evaluate.metrics import accuracy_interval
from latte.interfaces import ClassAccuracy, Evaluation, LatteError
from tests.helpers.evaluated import evaluate_predictions, is_correct

pytestmark = pytest.mark.thorough


@st.composite
def classified(draw: DrawFn) -> tuple[Tensor, Tensor]:
    """Similarities (M, C) with many ties, and labels (M,)."""
    images, classes = draw(st.integers(1, 30)), draw(st.integers(1, 12))
    row = st.lists(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), min_size=classes, max_size=classes)
    rows = draw(st.lists(row, min_size=images, max_size=images))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))
    return torch.tensor(rows), torch.tensor(labels)


def order(row: Tensor) -> list[int]:
    """Return the classes from the most to the least similar, the first of equal ones first."""
    return sorted(range(len(row)), key=lambda c: (-row[c].item(), c))


EXAMPLE = torch.tensor(
    [
        [0.9, 0.1, 0.0],
        [0.2, 0.3, 0.1],
        [0.5, 0.4, 0.3],
        [0.1, 0.1, 0.8],
    ]
)
LABELS = torch.tensor([0, 1, 1, 0])


def test_evaluation_of_a_hand_computed_example() -> None:
    evaluation = evaluate_predictions("zero-shot", EXAMPLE, LABELS, None)
    assert evaluation.images == 4
    assert evaluation.top1 == accuracy_interval(2, 4)
    assert evaluation.top5 == 1.0
    assert evaluation.classes == (ClassAccuracy(1, 2), ClassAccuracy(1, 2), ClassAccuracy(0, 0))
    assert evaluation.mean_per_class == 0.5
    assert evaluation.gain is None


@given(classified())
def test_every_figure_equals_slow_counting(case: tuple[Tensor, Tensor]) -> None:
    similarities, labels = case
    evaluation = evaluate_predictions("adapted", similarities, labels, None)
    ranked = [order(row) for row in similarities]
    is_top1 = [best[0] == label for best, label in zip(ranked, labels.tolist(), strict=True)]
    among_five = [label in best[:5] for best, label in zip(ranked, labels.tolist(), strict=True)]
    assert evaluation.top1 == accuracy_interval(sum(is_top1), len(is_top1))
    assert evaluation.top5 == pytest.approx(sum(among_five) / len(among_five))
    shares = []
    for index, class_accuracy in enumerate(evaluation.classes):
        right = [ok for ok, label in zip(is_top1, labels.tolist(), strict=True) if label == index]
        assert (class_accuracy.correct, class_accuracy.images) == (sum(right), len(right))
        if right:
            shares.append(sum(right) / len(right))
    assert len(evaluation.classes) == similarities.shape[1]
    assert evaluation.mean_per_class == pytest.approx(sum(shares) / len(shares))
    assert is_correct(similarities, labels).tolist() == is_top1
    assert is_correct(similarities, labels).equal(similarities.argmax(dim=1) == labels)


@given(classified(), st.floats(0.01, 100))
def test_a_positive_scale_changes_nothing(case: tuple[Tensor, Tensor], scale: float) -> None:
    similarities, labels = case
    assert evaluate_predictions("a", similarities * scale, labels, None) == evaluate_predictions(
        "a", similarities, labels, None
    )


class TestGain:
    def test_gain_pairs_images_with_the_baseline(self) -> None:
        baseline = torch.tensor([False, True, True, False])  # won the first, lost the third
        gain = evaluate_predictions("adapted", EXAMPLE, LABELS, baseline).gain
        assert gain is not None
        assert gain.value == 0.0
        assert gain.low == -gain.high < 0

    @given(classified(), st.randoms(use_true_random=False))
    def test_gain_is_the_difference_of_top1(self, case: tuple[Tensor, Tensor], random) -> None:  # type: ignore[no-untyped-def]
        similarities, labels = case
        zero_shot = similarities[
            :, random.sample(range(similarities.shape[1]), similarities.shape[1])
        ]
        zero_shot_evaluation = evaluate_predictions("zero-shot", zero_shot, labels, None)
        adapted_evaluation = evaluate_predictions(
            "adapted", similarities, labels, is_correct(zero_shot, labels)
        )
        assert adapted_evaluation.gain is not None
        assert adapted_evaluation.gain.value == pytest.approx(
            adapted_evaluation.top1.value - zero_shot_evaluation.top1.value
        )


class TestMistakes:
    @pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
    def test_similarities_that_are_not_finite_raise_error(self, broken: float) -> None:
        similarities = EXAMPLE.clone()
        similarities[2, 1] = broken
        with pytest.raises(LatteError, match="1 of 4 images are not finite") as error:
            evaluate_predictions("adapted", similarities, LABELS, None)
        assert "learning rate" in str(error.value.hint)

    def test_evaluation_without_images_raises_error(self) -> None:
        with pytest.raises(LatteError, match="no labelled images"):
            evaluate_predictions("adapted", torch.zeros(0, 3), torch.zeros(0).long(), None)

    @pytest.mark.parametrize("label", [-1, 3])
    def test_labels_out_of_range_raise_error(self, label: int) -> None:
        labels = torch.tensor([0, 1, label, 0])
        with pytest.raises(LatteError, match="there are 3 classes"):
            evaluate_predictions("adapted", EXAMPLE, labels, None)


@given(classified(), st.booleans())
def test_json_restores_an_evaluation_exactly(case: tuple[Tensor, Tensor], paired: bool) -> None:
    baseline = torch.zeros(len(case[1]), dtype=torch.bool) if paired else None
    evaluation = evaluate_predictions("adapted", *case, baseline)
    assert _restored(json.dumps(asdict(evaluation))) == evaluation


def _restored(text: str) -> Evaluation:
    return TypeAdapter(Evaluation).validate_json(text, strict=True)
