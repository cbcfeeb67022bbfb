"""Features by which a run finds similar images, with and without encoders."""

from __future__ import annotations

import torch

from latte.models.similar_images import training_with_encoders
from latte.models.zero_shot import ImageFeatures, ZeroShot
from latte.toolkit.neighbours import nearest_neighbours
from tests.toolkit.test_encoder_agreement import LABELS, noisy


def test_similar_images_are_those_of_clip_and_encoder_together() -> None:
    images, clear = noisy(0.4, seed=0), noisy(0.1, seed=1)
    encoders = {
        "clear": ImageFeatures(clear, clear),
        "noise": ImageFeatures(noisy(1e6, seed=3), clear),
    }
    zero_shot = ZeroShot(ImageFeatures(images, images), torch.eye(8)[:3], LABELS, encoders)
    assert training_with_encoders(zero_shot).shape == (60, 16)
    shares = []
    for rows in (images, training_with_encoders(zero_shot)):
        _, indices = nearest_neighbours(rows, 5)
        shares.append(float((LABELS[indices] == LABELS.unsqueeze(1)).double().mean()))
    assert shares[0] < shares[1]


def test_similar_images_are_those_of_the_clip_without_encoders() -> None:
    images = noisy(0.4, seed=0)
    zero_shot = ZeroShot(ImageFeatures(images, images), torch.eye(8)[:3], LABELS)
    assert training_with_encoders(zero_shot) is images
