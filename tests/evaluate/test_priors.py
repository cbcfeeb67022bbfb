"""Class priors from posteriors of unlabelled images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latte.evaluate.priors import estimate_priors, reweighted

TRUE = torch.tensor([0.6, 0.25, 0.1, 0.05], dtype=torch.float64)


def calibrated(images: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Posteriors (N, 4) under equal priors of points drawn with priors `TRUE`, and their labels."""
    generator = torch.Generator().manual_seed(1)
    centres = 2.0 * torch.eye(4, dtype=torch.float64)
    labels = torch.multinomial(TRUE, images, replacement=True, generator=generator)
    noise = torch.randn(images, 4, generator=generator, dtype=torch.float64)
    points = centres[labels] + spread * noise
    log_likelihood = -((points[:, None] - centres) ** 2).sum(dim=2) / (2 * spread**2)
    return log_likelihood.softmax(dim=1), labels


def test_estimate_recovers_the_priors_of_calibrated_posteriors() -> None:
    posteriors, _ = calibrated(20_000)
    found = estimate_priors(posteriors)
    assert torch.allclose(found, TRUE, atol=0.015)
    assert float(found.sum()) == pytest.approx(1)


def test_reweighting_with_estimated_priors_raises_accuracy() -> None:
    posteriors, labels = calibrated(20_000, spread=1.5)
    better = reweighted(posteriors, estimate_priors(posteriors) / 0.25)
    before, after = ((one.argmax(dim=1) == labels).double().mean() for one in (posteriors, better))
    assert after > before + 0.02


def test_the_estimate_is_a_fixed_point() -> None:
    posteriors, _ = calibrated(500)
    found = estimate_priors(posteriors)
    again = reweighted(posteriors, found / 0.25).mean(dim=0)
    assert torch.allclose(again, found, atol=1e-6)


def test_sparse_posteriors_of_all_classes_equal_dense_ones() -> None:
    posteriors, _ = calibrated(300)
    values, labels = posteriors.topk(posteriors.shape[1], dim=1)
    sparse = estimate_priors(values, labels, posteriors.shape[1])
    assert torch.allclose(sparse, estimate_priors(posteriors), atol=1e-9)


def test_certain_images_are_counted() -> None:
    posteriors = torch.eye(3)[torch.tensor([0, 0, 0, 2])]
    assert estimate_priors(posteriors).tolist() == [0.75, 0.0, 0.25]


def test_prior_of_a_single_class_is_one() -> None:
    assert estimate_priors(torch.ones(5, 1)).tolist() == [1.0]


def test_without_images_priors_stay_equal() -> None:
    assert estimate_priors(torch.zeros(0, 4)).tolist() == [0.25] * 4


def test_estimate_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    posteriors, _ = calibrated(300)
    whole = estimate_priors(posteriors)
    monkeypatch.setattr("latte.toolkit.blocks.BLOCK_ENTRIES", 40)
    assert torch.allclose(estimate_priors(posteriors), whole, atol=1e-12)


def test_row_with_zero_products_is_unchanged() -> None:
    row = torch.tensor([[0.0, 1.0]])
    assert reweighted(row, torch.tensor([2.0, 0.0])).tolist() == [[0.0, 1.0]]
