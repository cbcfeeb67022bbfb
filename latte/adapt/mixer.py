"""LatteCLIP's dynamic feature mixer: descriptions count by how clearly they name one class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latte.interfaces import Classifier

MARGIN_FLOOR = 1e-6
"""Added to every margin, so that texts which are undecided between two classes still count."""


def margin_weights(text_features: Tensor, classifier: Classifier) -> Tensor:
    """How clearly each of M unit text features (M, D) points at one class: (M,), no gradient.

    The weight is the margin between the two nearest *classes*: a class with several prototypes is
    as near as its nearest one, so that siblings never compete. With a single class there is no
    runner-up and no text says more than another: all weigh 1. LatteCLIP, dynamic feature mixer.
    """
    similarities = classifier.similarities(text_features.detach())
    if similarities.shape[1] == 1:
        return similarities.new_ones(len(similarities))
    nearest, runner_up = similarities.topk(2, dim=1).values.unbind(dim=1)
    return nearest - runner_up + MARGIN_FLOOR


def mix(texts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Weighted mean (B, D) of at least one text feature a sample, not scaled to unit length.

    `texts` are (B, D) each and `weights` (B,) each, positive: every sample has its own weight for
    each of its texts, and is divided by the sum of its own weights.
    """
    stacked = torch.stack(list(weights)).unsqueeze(2)
    return (torch.stack(list(texts)) * stacked).sum(dim=0) / stacked.sum(dim=0)
