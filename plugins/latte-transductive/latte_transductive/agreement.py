"""Labels by a Gaussian mixture of frozen features, and their agreement with other labels."""

from __future__ import annotations

import torch
from torch import Tensor

from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.options import MixtureOptions

_BLOCK_NUMBERS = 2**24


def kappa(first_labels: Tensor, second_labels: Tensor, classes: int) -> float:
    """Return Cohen's kappa of two labellings (N,): 1 if all labels agree, 0 at chance level.

    Example:
        >>> kappa(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0]), 2)
        0.5
    """
    observed = float((first_labels == second_labels).double().mean())
    shares = [
        labels.bincount(minlength=classes).double() / len(labels)
        for labels in (first_labels, second_labels)
    ]
    chance = float(shares[0] @ shares[1])
    return (observed - chance) / (1 - chance) if chance < 1 else 1.0


def mixture_labels(
    images: Tensor, texts: Tensor, logit_scale: float, mixture: Mixture | None
) -> Tensor:
    """Return the class (N,) with the highest logit for each of the unit features (N, D).

    Logits are scaled similarities with class texts (C, D), plus the logits of `mixture`, if given.
    """
    rows = logit_scale * texts
    if mixture is not None:
        rows = rows + mixture.rows
    labels = []
    for block in torch.split(images, max(1, _BLOCK_NUMBERS // len(texts))):
        logits = block @ rows.T
        labels.append((logits if mixture is None else logits + mixture.bias).argmax(dim=1))
    return torch.cat(labels)


def fit_frozen(
    images: Tensor,
    texts: Tensor,
    logit_scale: float,
    options: MixtureOptions,
    corrections: Tensor | None = None,
) -> Mixture:
    """Return the mixture fitted to unit features (N, D), with class texts (C, D) as prior.

    `corrections` (N,) has the classes that a person gave to images, and -1 elsewhere.
    """
    return fit_mixture(images, texts, logit_scale, options, corrections)
