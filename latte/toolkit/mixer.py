"""LatteCLIP's dynamic feature mixer: descriptions count by how clearly they name one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latte.interfaces import Classifier
from latte.toolkit.blocks import row_blocks

MARGIN_FLOOR = 1e-6
"""Added to every margin, so that texts which are undecided between two classes still count."""


def margin_weights(text_features: Tensor, classifier: Classifier) -> Tensor:
    """How clearly each of M unit text features (M, D) points at one class: (M,), no gradient.

    The weight is the margin between the two nearest *classes*: a class with several prototypes is
    as near as its nearest one, so that siblings never compete. With a single class there is no
    runner-up and no text says more than another: all weigh 1. LatteCLIP, dynamic feature mixer.
    """
    features = text_features.detach()
    if classifier.classes == 1:
        return features.new_ones(len(features))
    blocks = row_blocks(len(features), len(classifier.weights))
    margins = [_margins(classifier.similarities(features[rows])) for rows in blocks]
    return torch.cat(margins) if margins else features.new_zeros(0)


def _margins(similarities: Tensor) -> Tensor:
    nearest, runner_up = similarities.topk(2, dim=1).values.unbind(dim=1)
    return nearest - runner_up + MARGIN_FLOOR


def mix(texts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Weighted mean (B, D) of at least one text feature a sample, not scaled to unit length.

    `texts` are (B, D) each and `weights` (B,) each, positive: every sample has its own weight for
    each of its texts, and is divided by the sum of its own weights.
    """
    stacked = torch.stack(list(weights)).unsqueeze(2)
    return (torch.stack(list(texts)) * stacked).sum(dim=0) / stacked.sum(dim=0)


def mix_descriptions(
    texts: Mapping[str, Tensor], weights: Mapping[str, float], classifier: Classifier | None
) -> Tensor:
    """The mix (B, D) of at least one description, (B, D) each, by name.

    A description counts by its weight (1 if it has none in `weights`) times its margin under
    `classifier`; None leaves margins out.
    """
    features, factors = [*texts.values()], [weights.get(name, 1.0) for name in texts]
    if classifier is None:
        if all(factor == factors[0] for factor in factors):
            return torch.stack(features).mean(dim=0)
        return mix(
            features,
            [text.new_full((len(text),), f) for text, f in zip(features, factors, strict=True)],
        )
    margins = [margin_weights(text, classifier) for text in features]
    return mix(features, [margin * f for margin, f in zip(margins, factors, strict=True)])
