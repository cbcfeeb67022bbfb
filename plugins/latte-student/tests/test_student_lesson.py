"""Soft labels, weights by doubt and by answers, and left-out series."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import torch
from latte_student.lesson import (
    certainty,
    left_out_images,
    soft_labels,
    used_labels,
    with_answers,
)

from latte.api import Posterior
from latte.api.runs import Run


def test_soft_labels_spread_what_the_likeliest_classes_leave() -> None:
    posterior = Posterior(torch.tensor([[2, 0]]), torch.tensor([[0.6, 0.1]]))
    torch.testing.assert_close(soft_labels(posterior, 3), torch.tensor([[0.2, 0.1, 0.7]]))


def test_soft_labels_are_those_of_an_image_that_shows_a_class() -> None:
    none = torch.tensor([0.5])
    posterior = Posterior(torch.tensor([[1, 0]]), torch.tensor([[0.4, 0.1]]), none)
    torch.testing.assert_close(soft_labels(posterior, 2), torch.tensor([[0.2, 0.8]]))


def test_certainty_falls_with_entropy() -> None:
    weights = certainty(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5]]))
    assert weights[0] == 1 and weights[2] < 1e-6
    assert 0.4 < weights[1] < 0.6


def test_answers_replace_labels_and_none_of_them_does_not_teach() -> None:
    targets, weights = with_answers(
        torch.full((3, 2), 0.5), torch.tensor([0.1, 0.2, 0.3]), ["a", "b", "c"], {"b": 1, "c": -1}
    )
    assert targets.tolist() == [[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]
    torch.testing.assert_close(weights, torch.tensor([0.1, 1.0, 0.0]))


def test_a_series_is_left_out_as_a_whole() -> None:
    series = [number // 5 for number in range(100)]
    mask = left_out_images(series, [False] * 100, seed=3)
    assert int(mask.sum()) == 10
    assert all(torch.unique(mask[5 * number : 5 * number + 5]).numel() == 1 for number in range(20))
    assert torch.equal(mask, left_out_images(series, [False] * 100, seed=3))
    assert not torch.equal(mask, left_out_images(series, [False] * 100, seed=4))


def test_a_series_with_an_answer_always_trains() -> None:
    series = [number // 2 for number in range(20)]
    is_answered = [number % 2 == 0 and number not in (6, 8) for number in range(20)]
    for seed in range(8):
        left_out = left_out_images(series, is_answered, seed).nonzero().flatten().tolist()
        assert left_out in ([6, 7], [8, 9])


def test_nothing_is_left_out_of_one_series() -> None:
    assert not left_out_images([0, 0, 0], [False] * 3, seed=0).any()


def test_a_run_that_kept_zero_shot_teaches_its_labels_and_confidences() -> None:
    labels = SimpleNamespace(adapted=(2, 0), confidence=(0.7, 1.00001))
    run = cast("Run", SimpleNamespace(rows=SimpleNamespace(pseudo_labels=labels)))
    expected = torch.tensor([[0.1, 0.1, 0.8], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(soft_labels(used_labels(run), 3), expected)
