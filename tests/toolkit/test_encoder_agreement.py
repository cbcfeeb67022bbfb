"""Tests of image-only encoders, and of features joined with the CLIP's."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from latte.api import is_useful_encoder, joined_features, nearest_neighbours

LABELS = torch.arange(60) % 3


def noisy(spread: float, seed: int) -> torch.Tensor:
    """Return unit features (60, 8) around three directions, with a part that all images share."""
    noise = torch.randn(60, 8, generator=torch.Generator().manual_seed(seed))
    return normalize(1 + torch.eye(8)[LABELS] + spread * noise, dim=1)


def test_random_features_are_no_useful_encoder() -> None:
    images = noisy(0.4, seed=0)
    assert is_useful_encoder(images, images)
    assert is_useful_encoder(images, noisy(0.1, seed=1))
    assert not any(is_useful_encoder(images, noisy(1e6, seed)) for seed in range(2, 22))


def test_no_encoder_is_useful_for_a_single_image() -> None:
    assert not is_useful_encoder(noisy(0.1, 0)[:1], noisy(0.1, 0)[:1])


def test_neighbours_of_joined_features_have_the_class_that_one_model_sees() -> None:
    images, clear = noisy(0.5, seed=3), noisy(0.1, seed=1)
    joined = joined_features(images, {"clear": clear})
    torch.testing.assert_close(joined.norm(dim=1), torch.ones(60))
    shares = [
        float((LABELS[nearest_neighbours(rows, 1)[1][:, 0]] == LABELS).double().mean())
        for rows in (images, joined)
    ]
    assert shares[0] + 0.1 < shares[1]


def test_joined_features_are_the_images_if_no_encoder_is_useful() -> None:
    images = noisy(0.1, seed=0)
    assert joined_features(images, {"noise": noisy(1e6, 3)}) is images
