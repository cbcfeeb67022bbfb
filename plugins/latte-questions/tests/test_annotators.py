"""Reliabilities of single answers, after Dawid and Skene, with the mixture as second annotator."""

from __future__ import annotations

import pytest
import torch
from latte_questions.annotators import FEWEST_ANSWERS, AnswerPair, reliabilities
from latte_questions.belief import NONE, PairedAnswer, evidence, twice_right, within_limits
from torch import Tensor

CLASSES, EACH, RIGHT = 4, 40, 0.8
OPTIONS = tuple(range(CLASSES))
TRUTH = torch.arange(CLASSES).repeat_interleave(EACH)


def asked(answers: Tensor, reversed_answers: Tensor | None = None) -> list[AnswerPair]:
    answer_pairs = zip(
        answers.tolist(),
        (answers if reversed_answers is None else reversed_answers).tolist(),
        strict=True,
    )
    return [
        AnswerPair(row, label, reversed_label, OPTIONS)
        for row, (label, reversed_label) in enumerate(answer_pairs)
    ]


def test_rare_answers_are_believed_less_even_if_the_mixture_swaps_names() -> None:
    """The mixture swaps the names of two classes; the describer is wrong about one image."""
    mixture = TRUTH.clone()
    mixture[TRUTH == 0], mixture[TRUTH == 1] = 1, 0
    answers = TRUTH.clone()
    answers[3] = 2
    image_reliabilities = reliabilities(asked(answers), mixture, CLASSES, RIGHT)
    usual = [image_reliabilities[row] for row in range(len(TRUTH)) if row != 3]
    assert image_reliabilities[3] < min(usual) - 0.02
    assert twice_right(RIGHT) < min(usual) <= max(usual) <= twice_right(0.95)
    unknown = reliabilities(asked(answers), torch.zeros_like(TRUTH), CLASSES, RIGHT)
    assert image_reliabilities[3] < unknown[3] - 0.02, (
        "a mixture with one label for all shows no mistake"
    )


def test_answers_that_change_lower_the_belief_in_the_classes_they_may_hide() -> None:
    reversed_answers, doubtful = TRUTH.clone(), (TRUTH == 2).nonzero().squeeze(1)
    reversed_answers[doubtful[::2]] = 3
    mixture = torch.zeros_like(TRUTH)
    steady = reliabilities(asked(TRUTH), mixture, CLASSES, RIGHT)
    image_reliabilities = reliabilities(asked(TRUTH, reversed_answers), mixture, CLASSES, RIGHT)
    assert int(doubtful[0]) not in image_reliabilities, "two different answers are no evidence"
    assert image_reliabilities[0] < steady[0] - 0.05


@pytest.mark.parametrize("count", [FEWEST_ANSWERS - 1, FEWEST_ANSWERS])
def test_too_few_answers_keep_the_reliability_of_all_answers(count: int) -> None:
    image_reliabilities = reliabilities(
        asked(torch.zeros(count, dtype=torch.int64)), TRUTH, CLASSES, RIGHT
    )
    assert len(image_reliabilities) == (count if count == FEWEST_ANSWERS else 0)
    assert reliabilities([], TRUTH, CLASSES, RIGHT) == {}
    none = torch.full((100,), NONE)
    assert reliabilities(asked(none), TRUTH, CLASSES, RIGHT) == {}


def test_differing_answers_count_half_for_each_class() -> None:
    answers = torch.zeros(FEWEST_ANSWERS + 1, dtype=torch.int64)
    reversed_answers = answers.clone()
    reversed_answers[:2] = 1
    assert (
        len(reliabilities(asked(answers, reversed_answers), TRUTH, CLASSES, RIGHT))
        == len(answers) - 2
    )
    reversed_answers[2:4] = 1
    assert reliabilities(asked(answers, reversed_answers), TRUTH, CLASSES, RIGHT) == {}


def test_the_reliability_of_an_image_replaces_that_of_all_answers() -> None:
    answers = [PairedAnswer(torch.tensor([row]), 1, 5, agrees=False) for row in range(3)]
    sheet = PairedAnswer(torch.tensor([3, 4]), 1, 5, agrees=False)
    empty = torch.zeros(5, 3)
    log_ratios = evidence([*answers, sheet], 0.8, empty, {0: 0.9, 1: within_limits(0.0, 5), 3: 0.9})
    usual = evidence([*answers, sheet], 0.8, empty)
    assert log_ratios is not None
    assert usual is not None
    assert log_ratios[0, 1] > usual[0, 1]
    assert log_ratios[1, 1] == pytest.approx(0, abs=1e-6), "an answer never speaks against itself"
    assert torch.equal(log_ratios[2:], usual[2:]), (
        "answers about clusters have the overall reliability"
    )
