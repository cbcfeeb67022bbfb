"""LatteCLIP's dynamic feature mixer: weigh each text by the margin between its nearest classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latte.interfaces import Classifier
from latte.toolkit.blocks import row_blocks

MARGIN_FLOOR = 1e-6
"""Added to every margin, so that a text equally near to two classes has a weight above 0."""


def margin_weights(text_features: Tensor, classifier: Classifier) -> Tensor:
    """Return the margin (M,) of each text between its two nearest classes.

    The margin is the difference of the text's similarities to these classes, plus 1e-6.
    `text_features` (M, D) have unit length. If a class has several prototypes, only the prototype
    nearest to the text counts, so that prototypes of one class do not compete. If there is only one
    class, all margins are 1. The result carries no gradient. Source: LatteCLIP, dynamic feature
    mixer.

    Example:
        >>> import torch
        >>> from latte.api import Classifier, margin_weights
        >>> texts = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
        >>> margin_weights(texts, Classifier(torch.eye(2), torch.arange(2)))
        tensor([1.0000, 0.2000])
    """
    features = text_features.detach()
    if classifier.classes == 1:
        return features.new_ones(len(features))
    blocks = row_blocks(len(features), len(classifier.weights))
    best = [classifier.similarities(features[rows]).topk(2, dim=1).values for rows in blocks]
    margins = [two[:, 0] - two[:, 1] + MARGIN_FLOOR for two in best]
    return torch.cat(margins) if margins else features.new_zeros(0)


def mix(texts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Return the weighted mean (B, D) of text features, not scaled to unit length.

    `texts` has at least one tensor (B, D). `weights` has a tensor (B,) of positive weights for each
    tensor in `texts`. The weights of each sample are normalised to sum to 1.

    Example:
        >>> import torch
        >>> from latte.api import mix
        >>> cat, dog = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> mix([cat, dog], [torch.tensor([3.0]), torch.tensor([1.0])])
        tensor([[0.7500, 0.2500]])
    """
    stacked = torch.stack(list(weights)).unsqueeze(2)
    return (torch.stack(list(texts)) * stacked).sum(dim=0) / stacked.sum(dim=0)


def mix_descriptions(
    texts: Mapping[str, Tensor], weights: Mapping[str, float], classifier: Classifier | None
) -> Tensor:
    """Return the weighted mean (B, D) of text features over several descriptions.

    `texts` maps names of descriptions to features (B, D), and `weights` maps them to numbers (1 if
    absent). The weight of a text is this number times its margin (see `margin_weights`), or the
    number alone if `classifier` is None.

    Example:
        >>> import torch
        >>> from latte.api import mix_descriptions
        >>> texts = {"image": torch.tensor([[1.0, 0.0]]), "group": torch.tensor([[0.0, 1.0]])}
        >>> mix_descriptions(texts, {"image": 3.0}, None)
        tensor([[0.7500, 0.2500]])
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
