"""Answers that contradict all others come first, and few answers are doubted."""

from __future__ import annotations

import torch

from latte.evaluate.doubtful import doubtful_answers
from latte.interfaces import Posterior


def posterior(rows: list[list[float]]) -> Posterior:
    probabilities, labels = torch.tensor(rows).sort(dim=1, descending=True, stable=True)
    return Posterior(labels[:, :2], probabilities[:, :2])


def test_answers_with_the_least_probable_class_come_first() -> None:
    rows = [[0.9, 0.08, 0.02]] * 18 + [[0.02, 0.97, 0.01], [0.01, 0.98, 0.01]]
    given_classes = torch.zeros(20, dtype=torch.int64)
    assert doubtful_answers(posterior(rows), given_classes).tolist() == [19, 18]


def test_among_classes_that_are_not_stored_the_surest_other_class_comes_first() -> None:
    rows = [[0.6, 0.39, 0.01], [0.9, 0.09, 0.01], *[[0.01, 0.01, 0.98]] * 18]
    given_classes = torch.full((20,), 2)
    assert doubtful_answers(posterior(rows), given_classes).tolist() == [1, 0]


def test_at_most_a_tenth_of_the_answers_is_doubted_and_never_a_likely_one() -> None:
    rows = [[0.01, 0.99, 0.0]] * 30
    wrong, right = torch.zeros(30, dtype=torch.int64), torch.ones(30, dtype=torch.int64)
    assert doubtful_answers(posterior(rows), wrong).tolist() == [0, 1, 2]
    assert doubtful_answers(posterior(rows), right).tolist() == []
    assert doubtful_answers(posterior(rows[:1]), wrong[:1]).tolist() == [0]
