"""Steps that the mixture adds if a person gave the classes of some images.

A few given classes are worth more than every guess of the texts. In the order of this file, they
decide how far the texts are trusted, spread over the graph of neighbours, are completed by the
labels of the mixture without answers while classes have none, count as a share of their class in
the Gaussians, and end in a logistic regression that also learns from images with a sure class. The
constants were chosen on eight labelled sets and judged on eight other sets (`python -m benchmarks
answers`, docs/results.md).

Answers spread as in Zhou, Bousquet, Lal, Weston, Schölkopf: Learning with Local and Global
Consistency (NIPS 2003). The regression starts at the mixture's classifier and stays near it, as
few-shot probes of CLIP start at the class texts (Silva-Rodriguez, Hajimiri, Ben Ayed, Dolz: A
Closer Look at the Few-Shot Adaptation of Large Vision-Language Models, CVPR 2024). Sure labels of
other images are those of self-training (Lee: Pseudo-Label, ICML workshop 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latte_transductive.assigned import evenness_of

ANSWER = 10.0
"""In the regression and among neighbours, a given image counts as this many images."""
NEIGHBOUR_SHARE = 0.25
"""Share of the neighbours' weight while the Gaussians are fitted; the last update has all of it."""
ROUNDS = 2
"""Number of regressions; each has new labels of the images with a sure class."""
_LEAST_SHARE = 0.2
"""The given images of a class together count as this share of N / C images, or as more."""
_TRUSTS = (0.0, 0.06, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
_PRIOR = 1.0
"""Log-likelihood that texts lose if they are not trusted at all, so that few answers decide less.
"""
_ANSWERS_PER_CLASS = 10.0
"""With this number of answers per class, the trust in the texts is halved."""
_DAMPING = 0.9
"""Share of an image's score that comes from its neighbours, in each step of the propagation."""
_TEXT_SEED = 0.01
"""Score from which an image without an answer starts, relative to an answer."""
_PROPAGATION_STEPS = 50
_PROPAGATED_SPREAD = 0.45
"""Standard deviation of the propagated logits over the classes, relative to the text logits."""
_LEAST_PROBABILITY = 1e-4
_DEFAULT_SPREAD = 2.0
"""Standard deviation of the default's logits relative to the text logits, before its factors. It
was chosen on twelve sets, with classes that nobody answered and classes that do not occur."""
_SURE = 0.9
"""An image with a larger probability of its class is an example of the regression."""
_MOST_EXAMPLES = 20_000
"""Largest number of examples with a sure class; more take longer and change little."""
_NEAR_ROWS, _NEAR_BIAS = 0.0015, 0.001
"""Weights of the squared distances to the mixture's classifier."""
_STEPS = 20


def trust_in_texts(text: Tensor, labels: Tensor, middle: Tensor) -> float:
    """Return the factor t in [0, 1) of the text logits: small if they contradict the answers.

        t = argmax over r of  sum_i log softmax(r (text_i - middle))[y_i] - (1 - r)²,
        divided by 1 + M / 10 C

    Args:
        text: (M, C): text logits of the M images whose classes were given.
        labels: (M,): the given classes y.
        middle: (C,): mean text logits of all images.
    """
    trusts = text.new_tensor(_TRUSTS)
    scaled = trusts[:, None, None] * (text - middle)
    likelihood = scaled.log_softmax(dim=2)[:, torch.arange(len(labels)), labels].sum(dim=1)
    best = float(trusts[(likelihood - _PRIOR * (1 - trusts) ** 2).argmax()])
    return best / (1 + len(labels) / len(middle) / _ANSWERS_PER_CLASS)


def propagated_logits(
    probabilities: Tensor, corrections: Tensor, graph: Tensor, text_spread: float
) -> Tensor:
    """Return logits (N, C) of the classes that reach each image over the graph of neighbours.

    Each step replaces the scores F by 0.9 S F + Y, where S is the graph, normalised by the roots of
    its sums. Y is 1 for a given class, and 0.01 `probabilities` for images without an answer. The
    logits are the logarithms of the shares of F, scaled to the spread of the text logits: shares
    are flat far from the answers, where their scale says little about certainty.

    Args:
        probabilities: (N, C): class probabilities by the texts, as far as they are trusted.
        corrections: (N,): given classes, and -1 elsewhere.
        graph: (N, N): sparse symmetric graph of neighbours.
        text_spread: standard deviation of the text logits over the classes.
    """
    answered = (corrections >= 0).nonzero().squeeze(1)
    seeds = _TEXT_SEED * probabilities
    seeds[answered] = one_hot(corrections[answered], probabilities.shape[1]).to(seeds)
    root = (graph @ torch.ones_like(seeds[:, :1])).clamp_min(_LEAST_PROBABILITY).rsqrt()
    scores = seeds
    for _ in range(_PROPAGATION_STEPS):
        scores = seeds + _DAMPING * root * (graph @ (root * scores))
    logits = (scores / scores.sum(dim=1, keepdim=True) + _LEAST_PROBABILITY).log()
    return _scaled(logits, _PROPAGATED_SPREAD * text_spread)


def _scaled(logits: Tensor, spread: float) -> Tensor:
    """Return `logits` (N, C), centred per image, with the standard deviation `spread`."""
    centred = logits - logits.mean(dim=1, keepdim=True)
    length = float(centred.square().mean().sqrt())
    return centred * (spread / length if length > 0 else 0.0)


@dataclass(frozen=True)
class Default:
    """Parts of the mixture without answers that remain while there are few answers."""

    shifts: Tensor
    """(C,): shifts that were added to the text logits; see `other_names`."""
    posteriors: Tensor
    """(N, C): class probabilities of the images."""


def default_logits(
    probabilities: Tensor, corrections: Tensor, propagated_labels: Tensor, text_spread: float
) -> Tensor:
    """Return logits (N, C) of the mixture without answers, which speak for unanswered classes.

    They are the centred logarithms of its probabilities, scaled to the text logits' spread times

        2 (share of classes without an answer) (evenness of the propagated labels)² t

    where t is the trust that the answers give these probabilities, as in `trust_in_texts`. The
    evenness is small if few of the classes occur: then most unanswered classes show on no image.

    Args:
        probabilities: (N, C): class probabilities of the mixture without answers.
        corrections: (N,): given classes, and -1 elsewhere.
        propagated_labels: (N,): likeliest classes by the propagated logits.
        text_spread: standard deviation of the text logits over the classes.
    """
    classes = probabilities.shape[1]
    answered = (corrections >= 0).nonzero().squeeze(1)
    given_counts = corrections[answered].bincount(minlength=classes)
    unanswered_share = float((given_counts == 0).double().mean())
    evenness = evenness_of(propagated_labels.bincount(minlength=classes).double())
    logits = (probabilities + _LEAST_PROBABILITY).log()
    trust = trust_in_texts(
        logits[answered], corrections[answered], torch.zeros_like(probabilities[0])
    )
    factor = _DEFAULT_SPREAD * unanswered_share * evenness**2 * trust
    return _scaled(logits, factor * text_spread)


def answer_weights(labels: Tensor, classes: int, images: int) -> Tensor:
    """Return the number of images (M,) that each given image counts as in the Gaussians.

    This is ten, or more if the answers of its class would else count as less than a fifth of the
    N / C images that a class has on average. `labels` (M,) are the given classes.
    """
    answers = labels.bincount(minlength=classes)[labels]
    return (_LEAST_SHARE * images / classes / answers).clamp_min(ANSWER)


@dataclass(frozen=True)
class Examples:
    """Images from which the regression learns."""

    rows: Tensor
    """(E,): indices of the images."""
    labels: Tensor
    """(E,): their classes."""
    weights: Tensor
    """(E,): numbers of images that they count as."""


def sure_examples(posteriors: Tensor, corrections: Tensor) -> Examples:
    """Return the given images, and images with a sure class, as examples.

    `posteriors` are (N, C), and `corrections` (N,) has the given classes and -1 elsewhere. A given
    image counts as ten images. The other images count as one each, or as less, so that no class has
    more of them than the median class.
    """
    probabilities, labels = posteriors.max(dim=1)
    is_given = corrections >= 0
    sure = ((probabilities > _SURE) & ~is_given).nonzero().squeeze(1)
    sure = sure[:: -(-len(sure) // _MOST_EXAMPLES) or 1]
    counts = labels[sure].bincount(minlength=posteriors.shape[1]).to(posteriors)
    median = counts[counts > 0].median() if len(sure) else counts.new_ones(())
    answered = is_given.nonzero().squeeze(1)
    return Examples(
        torch.cat([answered, sure]),
        torch.cat([corrections[answered], labels[sure]]),
        torch.cat(
            [
                torch.full_like(probabilities[answered], ANSWER),
                (median / counts[labels[sure]]).clamp_max(1),
            ]
        ),
    )


def logistic_regression(
    images: Tensor, examples: Examples, start_rows: Tensor, start_bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Return rows (C, D) and bias (C,) of a classifier that fits the examples and stays near.

    It minimises the weighted cross-entropy plus 0.0015 |rows - start|² + 0.001 |bias - start|².
    """
    features, weights = images[examples.rows], examples.weights.unsqueeze(1)
    targets = one_hot(examples.labels, len(start_rows)).to(features)
    total = weights.sum()
    rows, bias = start_rows.clone(), start_bias.clone()
    optimizer = torch.optim.LBFGS([rows, bias], max_iter=_STEPS, history_size=10)

    def loss() -> Tensor:
        logits = torch.addmm(bias, features, rows.T)
        moved_rows, moved_bias = rows - start_rows, bias - start_bias
        errors = weights * (logits.softmax(dim=1) - targets) / total
        rows.grad = errors.T @ features + 2 * _NEAR_ROWS / total * moved_rows
        bias.grad = errors.sum(dim=0) + 2 * _NEAR_BIAS / total * moved_bias
        cross_entropy = -(weights * targets * logits.log_softmax(dim=1)).sum()
        near = _NEAR_ROWS * moved_rows.square().sum() + _NEAR_BIAS * moved_bias.square().sum()
        return (cross_entropy + near) / total

    with torch.no_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return rows, bias
