"""The score that ranks models without labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.run.comparing import model_score


def clusters(sizes: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return unit features in tight clusters, and the cluster of each."""
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    noise = torch.randn(len(labels), 16, generator=torch.Generator().manual_seed(seed))
    return normalize(torch.eye(16)[labels] + 0.01 * noise, dim=1), labels


def test_score_is_one_for_labels_of_clusters_and_zero_for_random_ones() -> None:
    features, labels = clusters([30, 30, 30])
    assert model_score(features, labels) == pytest.approx(1)
    shuffled = labels[torch.randperm(90, generator=torch.Generator().manual_seed(1))]
    assert abs(model_score(features, shuffled)) < 0.1


def test_score_falls_with_each_share_of_wrong_labels() -> None:
    features, labels = clusters([200, 200])
    scores = []
    for wrong in (0, 20, 60, 100):
        noisy = labels.clone()
        noisy[: 2 * wrong : 2] = 1
        scores.append(model_score(features, noisy))
    assert scores == sorted(scores, reverse=True)
    assert len({*scores}) == len(scores)


def test_large_sets_are_sampled_with_nearly_the_same_score() -> None:
    features, labels = clusters([4500, 4500])
    noisy = torch.where(torch.arange(9000) % 7 == 0, 1 - labels, labels)
    part = torch.arange(0, 9000, 9)
    assert model_score(features, noisy) == pytest.approx(
        model_score(features[part], noisy[part]), abs=0.05
    )


@pytest.mark.parametrize("count", [1, 2, 30])
def test_one_label_for_all_images_is_worth_nothing(count: int) -> None:
    features, _ = clusters([count])
    assert model_score(features, torch.zeros(count, dtype=torch.int64)) == 0


def test_two_images_of_two_classes_have_a_finite_score() -> None:
    features, labels = clusters([1, 1])
    assert model_score(features, labels) == pytest.approx(-1)
