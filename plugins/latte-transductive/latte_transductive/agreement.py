"""Agreement of two labellings beyond chance, and stability of the Gaussian mixture's labels."""

from __future__ import annotations

import torch
from torch import Tensor

from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.options import MixtureOptions

HALVINGS = 3
MOST_IMAGES = 40_000
"""Largest number of images on which stability is measured; larger sets are sampled."""
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


def stability(
    images: Tensor, texts: Tensor, logit_scale: float, options: MixtureOptions, seed: int
) -> float:
    """Return the agreement of two Gaussian mixtures, each fitted to a random half of N > 1 images.

    Both mixtures label all images; the result is the kappa of the two labellings, averaged over
    `HALVINGS` random splits. Near 1, other images of this kind would give nearly the same
    classifier; near 0, the labels depend on the sample.

    Stability as a criterion of cluster validity: Ben-Hur, Elisseeff, Guyon, Pacific Symposium on
    Biocomputing 2002.
    """
    generator = torch.Generator().manual_seed(seed)
    if len(images) > MOST_IMAGES:
        images = images[torch.randperm(len(images), generator=generator)[:MOST_IMAGES]]
    kappas = []
    for _ in range(HALVINGS):
        order = torch.randperm(len(images), generator=generator).to(images.device)
        half, other_half = (
            mixture_labels(
                images, texts, logit_scale, fit_frozen(images[rows], texts, logit_scale, options)
            )
            for rows in order.tensor_split(2)
        )
        kappas.append(kappa(half, other_half, len(texts)))
    return sum(kappas) / len(kappas)
