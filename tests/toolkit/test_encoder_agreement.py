"""Tests of the weights of image-only encoders, and of features joined with the CLIP's."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from latte.api import encoder_weights, joined_features, nearest_neighbours

LABELS = torch.arange(60) % 3


def noisy(spread: float, seed: int) -> torch.Tensor:
    """Return unit features (60, 8) around three directions, with a part that all images share."""
    noise = torch.randn(60, 8, generator=torch.Generator().manual_seed(seed))
    return normalize(1 + torch.eye(8)[LABELS] + spread * noise, dim=1)


def test_weight_falls_from_clear_features_to_noise() -> None:
    images = noisy(0.1, seed=0)
    features = {"clear": noisy(0.1, seed=1), "blurred": noisy(0.35, seed=2), "noise": noisy(9, 3)}
    weights = encoder_weights(images, LABELS, features)
    assert weights["clear"] == 1.0
    assert 0 < weights["blurred"] < 1
    assert weights["noise"] == 0.0


def test_encoder_of_a_single_image_has_no_weight() -> None:
    assert encoder_weights(noisy(0.1, 0)[:1], LABELS[:1], {"one": noisy(0.1, 0)[:1]}) == {"one": 0}


def test_neighbours_of_joined_features_have_the_class_that_one_model_sees() -> None:
    noise, clear = noisy(9, seed=3), noisy(0.1, seed=1)
    joined = joined_features(noise, {"clear": clear}, {"clear": 4.0})
    torch.testing.assert_close(joined.norm(dim=1), torch.ones(60))
    _, indices = nearest_neighbours(joined, 1)
    assert float((LABELS[indices[:, 0]] == LABELS).double().mean()) > 0.9


def test_joined_features_are_the_images_if_no_encoder_counts() -> None:
    images = noisy(0.1, seed=0)
    assert joined_features(images, {"noise": noisy(9, 3)}, {"noise": 0.0}) is images
