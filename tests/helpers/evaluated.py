"""Evaluation views and evaluations of similarities, as a run computes them."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from latte.data.views import evaluation_pixels, normalise
from latte.evaluate.metrics import evaluate_ranks, label_ranks
from latte.interfaces import Evaluation, PixelFormat


def evaluate_predictions(
    name: str, similarities: Tensor, labels: Tensor, baseline: Tensor | None
) -> Evaluation:
    """Return the evaluation of similarities (M, C)."""
    ranks = label_ranks(name, similarities, labels)
    return evaluate_ranks(ranks, labels, similarities.shape[1], baseline)


def is_correct(similarities: Tensor, labels: Tensor) -> Tensor:
    """Return (M,) bool: True where the most similar class is the true class."""
    return label_ranks("zero-shot", similarities, labels) == 0


def evaluation_view(image: Image.Image, pixel_format: PixelFormat) -> Tensor:
    """Return the normalised evaluation view of `image` (RGB): (3, S, S) float32."""
    return normalise(evaluation_pixels(image, pixel_format)[None], pixel_format)[0]
