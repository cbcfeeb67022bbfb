"""LatteCLIP's dynamic feature mixer: weigh each text by the margin between its nearest classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte.api import Classifier

MARGIN_FLOOR = 1e-6
"""Added to every margin, so that a text equally near to two classes has a weight above 0."""


def margins(texts: Tensor, classifier: Classifier | None) -> Tensor:
    """Return the margin (M,) of each unit text (M, D) between its two nearest classes.

    Only the prototype of a class that is nearest to the text counts, so that prototypes of one
    class do not compete. Without a classifier or with one class, all margins are 1. The result
    carries no gradient.
    """
    if classifier is None or classifier.classes == 1:
        return texts.new_ones(len(texts))
    top_two = classifier.similarities(texts.detach()).topk(2, dim=1).values
    return top_two[:, 0] - top_two[:, 1] + MARGIN_FLOOR


def mix(
    texts: Mapping[str, Tensor], weights: Mapping[str, float], classifier: Classifier | None
) -> Tensor:
    """Return the weighted mean (B, D) of each image's texts, not scaled to unit length.

    `texts` has unit features (B, D) of each description, and `weights` a number for each (1 if
    absent), which multiplies the margins.
    """
    factors = [margins(text, classifier) * weights.get(name, 1.0) for name, text in texts.items()]
    text_weights = torch.stack(factors).unsqueeze(2)
    return (torch.stack([*texts.values()]) * text_weights).sum(dim=0) / text_weights.sum(dim=0)
