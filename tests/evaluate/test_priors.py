"""Class priors, and the classes that occur, from posteriors of unlabelled images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latte.evaluate.priors import estimate_priors, reweighted, unsupported_classes

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


def estimated(posteriors: Tensor) -> Tensor:
    """Return the priors that are estimated from the posteriors (N, C) of all classes."""
    images, classes = posteriors.shape
    return estimate_priors(posteriors, torch.arange(classes).expand(images, classes), classes)


def test_estimate_recovers_the_priors_of_calibrated_posteriors() -> None:
    posteriors, _ = calibrated(20_000)
    priors = estimated(posteriors)
    assert torch.allclose(priors, TRUE, atol=0.015)
    assert float(priors.sum()) == pytest.approx(1)


def test_the_estimate_is_a_fixed_point() -> None:
    posteriors, _ = calibrated(500)
    priors = estimated(posteriors)
    next_estimate = reweighted(posteriors, priors / 0.25).mean(dim=0)
    assert torch.allclose(next_estimate, priors, atol=1e-6)


def test_order_of_the_classes_of_an_image_does_not_matter() -> None:
    posteriors, _ = calibrated(300)
    values, labels = posteriors.topk(posteriors.shape[1], dim=1)
    ordered = estimate_priors(values, labels, posteriors.shape[1])
    assert torch.allclose(ordered, estimated(posteriors), atol=1e-9)


def test_prior_of_a_single_class_is_one() -> None:
    assert estimated(torch.ones(5, 1)).tolist() == [1.0]


def test_estimate_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    posteriors, _ = calibrated(300)
    priors_at_once = estimated(posteriors)
    monkeypatch.setattr("latte.toolkit.blocks.BLOCK_ENTRIES", 40)
    assert torch.allclose(estimated(posteriors), priors_at_once, atol=1e-12)


def test_row_with_zero_products_is_unchanged() -> None:
    row = torch.tensor([[0.0, 1.0]])
    assert reweighted(row, torch.tensor([2.0, 0.0])).tolist() == [[0.0, 1.0]]


def answers(truth: Tensor, classes: int, confidence: float, seed: int = 0) -> Tensor:
    """Softmax of noisy logits (N, C) that favour the true class."""
    logits = torch.randn(len(truth), classes, generator=torch.Generator().manual_seed(seed))
    logits[torch.arange(len(truth)), truth] += confidence
    return logits.softmax(dim=1)


def test_certain_images_support_only_their_classes() -> None:
    labels = torch.tensor([[1], [1], [3]])
    assert unsupported_classes(labels, torch.ones(3, 1), classes=5) == (0, 2, 4)


def test_uncertain_labels_move_to_classes_with_certain_images() -> None:
    """Five of forty classes occur, and the likeliest classes alone would be many more."""
    probabilities = answers(torch.arange(300) % 5, 40, 3.0)
    values, labels = probabilities.topk(5, dim=1)
    unsupported = {*unsupported_classes(labels, values, 40)}
    assert len(labels[:, 0].unique()) > 20
    assert len(unsupported) > 40 - len(labels[:, 0].unique())
    assert not {0, 1, 2, 3, 4} & unsupported


def test_all_classes_with_many_images_are_supported() -> None:
    probabilities = answers(torch.arange(400) % 8, 8, 4.0)
    values, labels = probabilities.topk(5, dim=1)
    assert unsupported_classes(labels, values, 8) == ()


def test_no_class_is_supported_without_images() -> None:
    none = torch.zeros(0, 3)
    assert unsupported_classes(none.long(), none, 3) == (0, 1, 2)


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        (torch.zeros(3, dtype=torch.long), torch.ones(3), "matrices"),
        (torch.zeros(2, 1, dtype=torch.long), torch.ones(1, 1), "one shape"),
        (torch.zeros(1, 2, dtype=torch.long), torch.full((1, 2), 1.5), "between 0 and 1"),
        (torch.zeros(1, 2, dtype=torch.long), torch.full((1, 2), float("nan")), "between 0 and 1"),
        (torch.full((1, 1), 3), torch.ones(1, 1), "none of 3 classes"),
    ],
)
def test_invalid_labels_and_probabilities_raise_error(
    labels: Tensor, probabilities: Tensor, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        unsupported_classes(labels, probabilities, 3)
