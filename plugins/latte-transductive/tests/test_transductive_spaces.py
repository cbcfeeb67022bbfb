"""Tests of Gaussians in the feature spaces of image-only encoders."""

from __future__ import annotations

import torch
from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.spaces import WeightedFeatures
from torch import Tensor
from torch.nn.functional import normalize

SCALE = 10.0


def noisy(directions: Tensor, labels: Tensor, noise: float, seed: int) -> Tensor:
    """Return unit features (N, D) around the direction of each image's class."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(labels), directions.shape[1])
    return normalize(directions[labels] + noise * torch.randn(shape, generator=generator), dim=1)


LABELS = torch.arange(120) % 3
TEXTS = torch.eye(16)[:3]
IMAGES = noisy(TEXTS, LABELS, 0.6, seed=0)
CLEAR = noisy(torch.eye(12)[:3], LABELS, 0.1, seed=1)
"""Features of an encoder that separates the classes much better than the CLIP."""


def accuracy(mixture: Mixture) -> float:
    """Return the share of images whose most probable class is the true one."""
    return float((mixture.posteriors.argmax(dim=1) == LABELS).double().mean())


def test_encoder_that_separates_classes_better_improves_labels() -> None:
    alone = fit_mixture(IMAGES, TEXTS, SCALE, MixtureOptions())
    encoders = [WeightedFeatures(CLEAR, 1.0)]
    both = fit_mixture(IMAGES, TEXTS, SCALE, MixtureOptions(), encoders=encoders)
    assert accuracy(alone) < 0.9 < accuracy(both)


def test_rows_of_all_spaces_reproduce_labels_without_neighbours() -> None:
    options = MixtureOptions(neighbours=0)
    answers = torch.full_like(LABELS, -1)
    answers[:6] = LABELS[:6]
    for corrections in (None, answers):
        mixture = fit_mixture(
            IMAGES,
            TEXTS,
            SCALE,
            options,
            corrections,
            encoders=[WeightedFeatures(CLEAR, 0.5)],
        )
        (encoder_rows,) = mixture.encoder_rows
        logits = IMAGES @ (SCALE * TEXTS + mixture.rows).T + mixture.bias + CLEAR @ encoder_rows.T
        is_free = torch.ones_like(LABELS, dtype=torch.bool) if corrections is None else answers < 0
        torch.testing.assert_close(logits.softmax(dim=1)[is_free], mixture.posteriors[is_free])
