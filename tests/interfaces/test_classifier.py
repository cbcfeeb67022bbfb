"""A classifier scores x·w + b, and takes the largest score of a class's rows."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing.fixtures import unit_rows

from latte.interfaces import Classifier
from latte.interfaces.classifier import check_classifier, cpu_copy

ONE_EACH = torch.tensor([2, 0, 3, 1])
UNEVEN = torch.tensor([1, 0, 2, 2, 1, 3])


def random(owners: torch.Tensor, biased: bool = True) -> Classifier:
    generator = torch.Generator().manual_seed(0)
    weights = 3 * torch.randn(len(owners), 6, generator=generator)
    bias = torch.randn(len(owners), generator=generator) if biased else None
    return Classifier(weights, owners, bias)


@pytest.mark.parametrize("owners", [ONE_EACH, UNEVEN])
def test_scores_equal_a_slow_loop(owners: torch.Tensor) -> None:
    classifier, images = random(owners), unit_rows(5, 6, seed=1)
    assert classifier.bias is not None
    similarities = classifier.similarities(images)
    assert similarities.shape == (5, 4)
    for row, image in enumerate(images):
        for label in range(4):
            class_rows = [number for number, owner in enumerate(owners.tolist()) if owner == label]
            scores = [
                image @ classifier.weights[row_of_class] + classifier.bias[row_of_class]
                for row_of_class in class_rows
            ]
            assert similarities[row, label] == pytest.approx(float(max(scores)), abs=1e-6)


@pytest.mark.parametrize("owners", [ONE_EACH, UNEVEN])
def test_no_bias_equals_a_bias_of_zeros(owners: torch.Tensor) -> None:
    plain, images = random(owners, biased=False), unit_rows(5, 6, seed=1)
    zeros = Classifier(plain.weights, owners, torch.zeros(len(owners)))
    assert torch.equal(plain.similarities(images), zeros.similarities(images))


def test_gradient_reaches_rows_and_bias() -> None:
    weights, bias = torch.randn(4, 6).requires_grad_(), torch.zeros(4).requires_grad_()
    Classifier(weights, ONE_EACH, bias).similarities(unit_rows(5, 6)).sum().backward()
    assert weights.grad is not None and bool(weights.grad.any())
    assert bias.grad is not None and bias.grad.tolist() == [5.0] * 4


def test_directions_have_unit_length() -> None:
    classifier = random(UNEVEN)
    lengths = classifier.directions.norm(dim=1)
    assert torch.allclose(lengths, torch.ones(6))
    assert bool(((classifier.directions * classifier.weights).sum(dim=1) > 0).all())


def test_none_has_a_row_and_a_bias_of_its_own() -> None:
    images, none = unit_rows(5, 6, seed=1), torch.arange(7.0)
    plain = random(ONE_EACH)
    classifier = Classifier(plain.weights, plain.owners, plain.bias, none)
    assert plain.none_similarities(images) is None
    expected = images @ none[:6] + 6
    for same in (classifier, cpu_copy(classifier)):
        similarities = same.none_similarities(images)
        assert similarities is not None
        torch.testing.assert_close(similarities, expected)
        assert torch.equal(same.similarities(images), plain.similarities(images))


@pytest.mark.parametrize("biased", [True, False])
def test_scaled_classifier_multiplies_every_score(biased: bool) -> None:
    images, plain = unit_rows(5, 6, seed=1), random(UNEVEN, biased)
    scaled = Classifier(plain.weights, plain.owners, plain.bias, torch.arange(7.0)).scaled(3.0)
    torch.testing.assert_close(scaled.similarities(images), 3 * plain.similarities(images))
    none = scaled.none_similarities(images)
    assert none is not None
    torch.testing.assert_close(none, 3 * (images @ torch.arange(6.0) + 6))


def test_row_of_none_with_another_width_is_an_error() -> None:
    plain = random(ONE_EACH)
    with pytest.raises(ValueError, match="row of no class"):
        check_classifier(Classifier(plain.weights, plain.owners, none=torch.zeros(6)), 4, 6)
