"""Mixture with the classes that a person gave, pooled with the mixture without answers.

A handful of answers says much about their own classes and little about the others, but it changes
every step of `taught`: answers that contradict the texts of three classes lower the trust in the
texts of all classes, and the answers spread to images of other classes. So the mixture without
answers keeps a part in the result, which counts as one answer per twenty classes. With three
answers for a hundred classes, it decides most; with one answer per class, it decides little. The
number was chosen on the sets on which the constants of `taught` were chosen, on pets, textures,
scenes and flowers, and on three unions of these sets with 54 to 119 classes (docs/results.md).

The mixture with answers has no names of other things, because these would take the images of
classes that nobody answered yet.

The pool is logarithmic, the weighted geometric mean of probabilities (Genest and Zidek: Combining
Probability Distributions, Statistical Science 1986). Hence logits of linear classifiers are
averaged, and images that were not fitted get the same pool.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import balancing_shifts
from latte_transductive.spaces import WeightedEncoders
from latte_transductive.taught import Default

_DEFAULT_ANSWERS = 0.05
"""The mixture without answers counts as this number of answers per class."""
_LEAST_PROBABILITY = 1e-6
"""Added to all probabilities, so that their logarithms are finite."""


def fit_with_answers(
    images: Tensor,
    texts: Tensor,
    logit_scale: float,
    options: MixtureOptions,
    corrections: Tensor,
    default: Mixture,
    *,
    balance: float,
    text_logits: Tensor | None = None,
    evidence: Tensor | None = None,
    encoders: WeightedEncoders | None = None,
) -> Mixture:
    """Return the mixture with the classes that a person gave to images, pooled with `default`.

    Args:
        images: (N, D): unit features of the images.
        texts: (C, D): unit features of the class texts.
        logit_scale: Logit scale of the CLIP.
        options: Options of the mixture.
        corrections: (N,): given classes, at least one, and -1 elsewhere.
        default: Mixture of the same images, texts and encoders without answers.
        balance: Share of the balancing shifts that is added to the text logits.
        text_logits: (N, C): logits of the class texts; by default `logit_scale` x_i · t_c.
        evidence: (N, C): logits that a describer's answers imply; see `fit_mixture`.
        encoders: Features of the images by image-only encoders.
    """
    logits = logit_scale * (images @ texts.T) if text_logits is None else text_logits
    parts = Default(balance * balancing_shifts(logits), default.posteriors)
    taught = fit_mixture(
        images, texts, logit_scale, options, corrections, evidence, logits, encoders, parts
    )
    return pooled(default, taught, corrections)


def pooled(default: Mixture, taught: Mixture, corrections: Tensor) -> Mixture:
    """Return the pool of two mixtures, in which images with an answer keep the given class.

    The mixture with answers, `taught`, has the share M / (M + C / 20) for M answers and C classes.
    `corrections` (N,) are the given classes, and -1 elsewhere.
    """
    is_given = corrections >= 0
    answers, classes = int(is_given.sum()), len(taught.bias)
    share = answers / (answers + _DEFAULT_ANSWERS * classes)

    def mean(without: Tensor, given: Tensor) -> Tensor:
        return torch.lerp(without, given, share)

    logarithms = ((mixture.posteriors + _LEAST_PROBABILITY).log() for mixture in (default, taught))
    posteriors = mean(*logarithms).softmax(dim=1)
    return Mixture(
        torch.where(is_given.unsqueeze(1), taught.posteriors, posteriors),
        mean(default.rows, taught.rows),
        mean(default.bias, taught.bias),
        {
            name: mean(default.encoder_rows[name], rows)
            for name, rows in taught.encoder_rows.items()
        },
    )
