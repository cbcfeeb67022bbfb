"""The reliability of a describer, from control questions and from answers about images."""

from __future__ import annotations

import pytest
import torch
from latte_questions.reliability import GRID, MISLED, ImageAnswer, Record


def answers(count: int, expected: float, label: int = 0, options: int = 5) -> list[ImageAnswer]:
    return [ImageAnswer(row, label, options, expected) for row in range(count)]


def test_the_posterior_equals_a_slow_sum_over_both_shares() -> None:
    record = Record(8, 6, [*answers(3, 0.8), *answers(2, 0.05, label=1, options=9)])
    joint = torch.zeros(len(GRID), len(MISLED), dtype=torch.float64)
    for place, p in enumerate(GRID.tolist()):
        for column, m in enumerate(MISLED.tolist()):
            value = p ** (1 + 6) * (1 - p) ** (1 + 2)
            for answer in record.answers:
                shown = (1 - m) * answer.expected + m / answer.options
                value *= p * shown + (1 - p) * (1 - shown) / (answer.options - 1)
            joint[place, column] = value
    assert torch.allclose(record.posterior, joint.sum(dim=1) / joint.sum())


def test_without_answers_the_controls_alone_count() -> None:
    rights = [Record(8, passed).right for passed in (3, 5, 8)]
    assert rights == pytest.approx([5 / 12, 7 / 12, 10 / 12], abs=0.01)
    assert Record().right == pytest.approx(0.5)


def test_answers_that_images_confirm_count_for_the_describer() -> None:
    confirmed, alone = Record(8, 6, answers(30, 0.9)), Record(8, 6)
    assert confirmed.right > alone.right
    assert confirmed.reliabilities.min() > 0.9


def test_answers_about_images_that_clip_does_not_know_say_little() -> None:
    unknown, alone = Record(8, 8, answers(30, 0.01)), Record(8, 8)
    assert unknown.right == pytest.approx(alone.right, abs=0.1)
    assert unknown.reliabilities.min() > 0.6


def test_answers_that_sure_images_contradict_are_less_reliable() -> None:
    record = Record(8, 7, [*answers(30, 0.95), *answers(1, 0.001, label=2)])
    reliabilities = record.reliabilities
    assert reliabilities[-1] < 0.3 < 0.9 < reliabilities[0]


def test_a_class_that_many_answers_name_wrongly_has_a_reliability_of_its_own() -> None:
    wrongly = [*answers(20, 0.01, label=1), *answers(60, 0.97)]
    doubtful = ImageAnswer(90, 1, 5, 0.2), ImageAnswer(91, 0, 5, 0.2)
    reliabilities = Record(8, 7, [*wrongly, *doubtful]).reliabilities
    assert reliabilities[-2] < reliabilities[-1] - 0.2


@pytest.mark.parametrize("record", [Record(8, 2, answers(9, 0.9)), Record(4, 4, answers(9, 0.9))])
def test_failed_and_few_controls_rule_all_answers_out(record: Record) -> None:
    assert record.doubt
    assert "ignored" in str(record)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            Record(controls=8, passed=8, answers=answers(20, 0.9)),
            "An estimated 94 % of the describer's answers are right (90 % interval: 85 to 99 %).",
        ),
        (
            Record(controls=8, passed=3),
            "The describer is ignored: wrong in most cases with a probability of 71 %. An "
            "estimated 42 % of the describer's answers are right (90 % interval: 20 to 65 %).",
        ),
        (Record(), "The describer is ignored: 0 control questions answered, fewer than 5."),
    ],
)
def test_the_record_of_a_describer_in_words(record: Record, sentence: str) -> None:
    assert str(record) == sentence
