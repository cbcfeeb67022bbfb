"""Mixture of one Gaussian per class, fitted to all images and anchored at the class texts.

Likelihood, text prior, neighbour term and alternating updates are those of TransCLIP-ZS (Zanella,
Gherin, Ben Ayed: Boosting Vision-Language Models with Transduction, NeurIPS 2024). The fewer images
support a class, the closer its mean is to its text, as in StatA (Zanella, Fuchs, De Vleeschouwer,
Ben Ayed: Realistic Test-Time Adaptation of Vision-Language Models, CVPR 2025). Classes that a
person gave to images change the trust in the texts and end in a logistic regression; see `taught`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from latte.api import Classifier, JointLabels, neighbour_agreement
from latte_transductive.assigned import Assigned
from latte_transductive.neighbours import Neighbours, neighbours_of
from latte_transductive.options import MixtureOptions
from latte_transductive.spaces import Fitted, Space, WeightedEncoders, joined
from latte_transductive.taught import (
    ANSWER,
    NEIGHBOUR_SHARE,
    ROUNDS,
    Default,
    answer_weights,
    default_logits,
    logistic_regression,
    propagated_logits,
    sure_examples,
    trust_in_texts,
)

NEIGHBOUR_UPDATES = 5
"""Number of neighbour updates of the posteriors per update of the Gaussians."""
_EVIDENCE = 3.0
"""If the largest evidence logit of an image has this value, the certainty of its class is 63 % (1 -
1/e)."""


@dataclass(frozen=True)
class Mixture:
    """Fitted Gaussian mixture: posteriors of N images, and a linear classifier for other images.

    `features @ rows.T + bias` are the logits of C Gaussians, which are added to the text logits.
    With image-only encoders, the products of their features and `encoder_rows` are added too.
    """

    posteriors: Tensor
    """(N, C): class probabilities of the images, including the neighbour term."""
    rows: Tensor
    """(C, D): weights of the linear classifier."""
    bias: Tensor
    """(C,): bias of the linear classifier."""
    encoder_rows: Mapping[str, Tensor] = field(default_factory=dict)
    """(C, E): weights over the unit features of each image-only encoder, by its name."""

    def labels(self, classifier: Classifier) -> JointLabels:
        """Return the likeliest class of each image, with weight 1, and `classifier`."""
        return JointLabels.from_probabilities(self.posteriors, classifier)


def fit_mixture(
    images: Tensor,
    texts: Tensor,
    logit_scale: float,
    options: MixtureOptions,
    corrections: Tensor | None = None,
    evidence: Tensor | None = None,
    text: Tensor | None = None,
    encoders: WeightedEncoders | None = None,
    default: Default | None = None,
) -> Mixture:
    """Return the Gaussian mixture of unit features (N, D) of N > 0 images and class texts (C, D).

    Each iteration computes, from the labels so far,

        k_c = (r k_even + (1 - r) k_few) / support_c²
        mean_c = unit(sum_i z_ic x_i + k_c a_c)
        e_ic = text_ic + w log N(x_i; mean_c, variances) - r² debias mean_i text_ic
        z_i = softmax over c of e_ic + v sum_j g_ij z_jc, five times

    with, for image i and class c:

        x_i, t_c    unit feature of the image, and of the class text
        text_ic     logit of the class text, `text`; by default `logit_scale` x_i · t_c
        a_c         moved class text: unit(t_c + mean x - mean t)
        k_c         number of images that a_c counts as; `anchor_images` is (k_even, k_few)
        r           evenness of the labels: exp(entropy of the class counts) / C; 1 if all are equal
        support_c   in (0, 1]; 1 if c is the commonest zero-shot label of the images labelled c
        debias      option: share of a class's mean text logit that is subtracted, if r is 1
        w           makes the standard deviation of the Gaussians' logits over the classes
                    `image_weight` times the standard deviation of the text logits
        g, v        graph of neighbours, and its weight: `neighbour_weight` times the square of the
                    agreement of neighbours' zero-shot labels beyond chance

    All classes share the variances (D,). A class without images has the mean a_c. The class texts
    weigh more if few of the class names occur, or if zero-shot CLIP gives the images of a class
    another label.

    `corrections` (N,) has the classes that a person gave to images, and -1 elsewhere. For such an
    image of class c, z_i is fixed. The image counts as ten images or more in mean_c, in the
    variances and as a neighbour. support_c is 1, because a person's answer outweighs the zero-shot
    labels. For all images i, e_ic is raised by (1 - r) times a gap. The gap is the largest text
    logit minus the text logit of c, averaged over the given images of class c. The text logits are
    multiplied by the trust in the texts, v is a quarter, and the last iteration is followed by two
    logistic regressions that start at the mixture's classifier; see `taught`.

    `evidence` (N, C) has logits that a describer's answers imply, and 0 elsewhere. They are added
    to e_ic. If the largest logit of an image in `evidence` is e > 0, its class has the certainty
    b = 1 - exp(-e / 3). The image counts as 1 + 9 b images, and it changes the support and the
    logits of its class by the share b of the change that a person's answer would make.

    `encoders` have features of the images by image-only encoders. In the space of each, a class is
    one more Gaussian, whose mean is sum_i z_ic x_i / (sum_i z_ic + k_c), where x_i are centred
    features: without images, it is the mean of all images. Its w is multiplied by the
    encoder's weight. Neighbours are those by the cosines of all spaces; see `encoder_weights`.

    `default` has parts of the mixture without answers, which count besides the given classes: its
    shifts are added to the text logits, and its labels speak for classes without an answer.
    """
    anchors = normalize(texts + (images.mean(dim=0) - texts.mean(dim=0)), dim=1)
    text = logit_scale * (images @ texts.T) if text is None else text
    shifts = torch.zeros_like(text[0]) if default is None else default.shifts
    prior = _TextPrior.of(text if default is None else text + shifts)
    fixed = _Fixed.of(corrections, evidence, len(texts), images)
    spaces = _spaces(images, anchors, encoders, fixed)
    directions = images if encoders is None else encoders.directions
    term = NeighbourTerm.of(directions, prior.zero_shot, options)
    if corrections is None or fixed is None or not fixed.answer_count:
        fitted = _fit(spaces, prior, evidence, fixed, term, options)
        return Mixture(fitted.posteriors, *fitted.over_unit_features(encoders))
    rows = fixed.rows[: fixed.answer_count]
    trust = trust_in_texts(prior.logits[rows], corrections[rows], prior.logits.mean(dim=0))
    trusted = prior.trusted(trust)
    guesses = [] if evidence is None else [evidence]
    labels = trusted.start.argmax(dim=1)
    if term.neighbours is not None:
        probabilities, graph = trusted.start.softmax(dim=1), term.neighbours.graph
        propagated = propagated_logits(probabilities, corrections, graph, prior.spread)
        labels = propagated.argmax(dim=1)
        guesses.append(propagated)
    if default is not None:
        guesses.append(default_logits(default.posteriors, corrections, labels, prior.spread))
    evidence = torch.stack(guesses).sum(dim=0) if guesses else None
    damped = replace(term, weight=NEIGHBOUR_SHARE * term.weight)
    fitted = _fit(spaces, trusted, evidence, fixed, damped, options)
    # The classifier of the mixture is relative to the text logits, of which only a part counts.
    rows_of_texts = logit_scale * texts
    clip_rows, *encoder_rows = fitted.rows
    start = replace(
        fitted,
        rows=[clip_rows + trust * rows_of_texts, *encoder_rows],
        bias=fitted.bias + trust * shifts,
    )
    learned = _regressed(spaces, start, corrections, evidence, fixed, term)
    rows, bias, further_rows = learned.over_unit_features(encoders)
    return Mixture(learned.posteriors, rows - rows_of_texts, bias, further_rows)


def _spaces(
    images: Tensor, anchors: Tensor, encoders: WeightedEncoders | None, fixed: _Fixed | None
) -> list[Space]:
    """Return the CLIP's space, with `anchors` (C, D), and those of the encoders."""
    # In the variances, a given image has the weight that it has in the means.
    weights = None if fixed is None else fixed.weights
    spaces = [Space.of_clip(images, anchors, weights)]
    if encoders is not None:
        pairs = zip(encoders.spaces, encoders.weights, strict=True)
        spaces += [Space.of_encoder(encoder, weight, weights) for encoder, weight in pairs]
    return spaces


def _regressed(
    spaces: Sequence[Space],
    start: Fitted,
    corrections: Tensor,
    evidence: Tensor | None,
    fixed: _Fixed,
    term: NeighbourTerm,
) -> Fitted:
    """Return the classifier after the logistic regressions; its rows include those of the texts."""
    fixed = fixed.weighing(ANSWER)
    widths = [space.features.shape[1] for space in spaces]
    features = joined([space.features for space in spaces])
    start_rows = joined(start.rows)
    fitted = start
    for _ in range(ROUNDS):
        examples = sure_examples(fitted.posteriors, corrections)
        rows, bias = logistic_regression(features, examples, start_rows, start.bias)
        logits = torch.addmm(bias if evidence is None else evidence + bias, features, rows.T)
        posteriors = term.posteriors(logits, fixed)
        fitted = Fitted(posteriors, [*torch.split(rows, widths, dim=1)], bias)
    return fitted


@dataclass(frozen=True)
class _TextPrior:
    """Text logits (N, C) of the images, and what is derived from them before they are trusted."""

    logits: Tensor
    """(N, C): the text logits in every iteration."""
    start: Tensor
    """(N, C): the logits of the first labels."""
    zero_shot: Tensor
    """(N,): the zero-shot labels."""
    spread: float
    """Standard deviation of the text logits over the classes."""

    @classmethod
    def of(cls, logits: Tensor) -> _TextPrior:
        spread = float(logits.var(dim=1, correction=0).mean().sqrt())
        return cls(logits, logits, logits.argmax(dim=1), spread)

    def trusted(self, trust: float) -> _TextPrior:
        """Return the prior if the texts are trusted by the factor `trust`.

        The less they are trusted, the more of each class's mean logit is left out of the start.
        """
        start = trust * (self.logits - (1 - trust) * self.logits.mean(dim=0))
        return replace(self, logits=trust * self.logits, start=start)


def _fit(
    spaces: Sequence[Space],
    prior: _TextPrior,
    evidence: Tensor | None,
    fixed: _Fixed | None,
    term: NeighbourTerm,
    options: MixtureOptions,
) -> Fitted:
    """Return the Gaussians' classifier after all iterations; see `fit_mixture`."""
    zero_shot, middle = prior.zero_shot, prior.logits.mean(dim=0)
    heard = prior.logits if evidence is None else prior.logits + evidence
    started = (prior.start if evidence is None else prior.start + evidence).softmax(dim=1)
    lift = torch.zeros_like(middle) if fixed is None else fixed.lift(prior.logits)
    posteriors = started if fixed is None else fixed.put(started)
    belief = None if fixed is None else fixed.belief
    rows: list[Tensor] = []
    bias = torch.zeros_like(middle)
    for iteration in range(options.iterations):
        assigned = Assigned.of(posteriors.argmax(dim=1), zero_shot, middle, belief)
        anchoring, evenness = assigned.anchoring(options), assigned.evenness
        counted = posteriors if fixed is None else fixed.weights * posteriors
        spread = options.image_weight * prior.spread
        classifiers = [
            space.classifier(counted, anchoring, spread, learn_variances=iteration > 0)
            for space in spaces
        ]
        rows, biases = map(list, zip(*classifiers, strict=True))
        bias = sum(biases[1:], biases[0]) - evenness**2 * options.debias * (middle - middle.mean())
        if fixed is not None:
            bias = bias + (1 - evenness) * lift
        logits = heard + bias
        for space, space_rows in zip(spaces, rows, strict=True):
            logits = torch.addmm(logits, space.features, space_rows.T)
        posteriors = term.posteriors(logits, fixed)
    return Fitted(posteriors, rows, bias)


@dataclass(frozen=True)
class _Fixed:
    """Images whose class a person gave (certain) or a describer's answers imply (less certain)."""

    rows: Tensor
    """(M,): indices of the images whose class is known."""
    classes: Tensor
    """(M, C): certainty of the image's class, 1 if a person gave it; 0 in the other columns."""
    weights: Tensor
    """(N, 1): number of images that each image counts as."""
    answer_count: int
    """Number of images whose class a person gave; they come first in `rows`."""

    @classmethod
    def of(
        cls, corrections: Tensor | None, evidence: Tensor | None, classes: int, images: Tensor
    ) -> _Fixed | None:
        if corrections is None and evidence is None:
            return None
        if corrections is None:
            corrections = torch.full_like(images[:, 0], -1, dtype=torch.int64)
        rows = (corrections >= 0).nonzero().squeeze(1)
        certainty = one_hot(corrections[rows], classes).to(images)
        weights = images.new_ones(len(images), 1)
        weights[rows, 0] = answer_weights(corrections[rows], classes, len(images)).to(weights)
        number = len(rows)
        if evidence is not None:
            most, label = evidence.max(dim=1)
            heard = ((most > 0) & (corrections < 0)).nonzero().squeeze(1)
            belief = -torch.expm1(-most[heard] / _EVIDENCE).unsqueeze(1)
            weights[heard] = 1 + (ANSWER - 1) * belief
            rows = torch.cat([rows, heard])
            certainty = torch.cat([certainty, belief * one_hot(label[heard], classes)])
        return cls(rows, certainty, weights, number)

    def weighing(self, weight: float) -> _Fixed:
        """Return the same images, where each image that a person gave counts as `weight` images."""
        weights = self.weights.clone()
        weights[self.rows[: self.answer_count]] = weight
        return replace(self, weights=weights)

    def put(self, posteriors: Tensor) -> Tensor:
        """Return `posteriors` (N, C) with probability 1 for each class that a person gave."""
        return posteriors.index_copy(
            0, self.rows[: self.answer_count], self.classes[: self.answer_count]
        )

    @property
    def belief(self) -> Tensor:
        """Largest certainty (C,) among the images of each class."""
        return self.classes.amax(dim=0) if len(self.rows) else self.classes.sum(dim=0)

    def lift(self, text: Tensor) -> Tensor:
        """Return, per class (C,), the mean of (largest text logit - text logit of the class).

        The mean is over the images of this class, weighted by the certainty of the class.
        """
        fixed_text, classes = text[self.rows], self.classes
        lacks = fixed_text.amax(dim=1) - (fixed_text * (classes > 0)).sum(dim=1)
        return classes.T @ lacks / classes.sum(dim=0).clamp_min(1)


@dataclass(frozen=True)
class NeighbourTerm:
    """Neighbour term v sum_j g_ij z_jc of the logits: the graph g and its weight v."""

    neighbours: Neighbours | None
    weight: float

    @classmethod
    def of(cls, directions: Tensor, zero_shot: Tensor, options: MixtureOptions) -> NeighbourTerm:
        """Return the term of unit vectors (N, D) whose cosines decide which are neighbours.

        `zero_shot` (N,) are the zero-shot labels.
        """
        if options.neighbour_weight == 0 or not (
            neighbours := neighbours_of(directions, options.neighbours)
        ):
            return cls(None, 0.0)
        return cls(
            neighbours,
            options.neighbour_weight * neighbour_agreement(neighbours.indices, zero_shot) ** 2,
        )

    def posteriors(self, evidence: Tensor, fixed: _Fixed | None) -> Tensor:
        """Return class probabilities (N, C) for the logits `evidence` plus the neighbour term."""

        def put(probabilities: Tensor) -> Tensor:
            return probabilities if fixed is None else fixed.put(probabilities)

        probabilities = put(evidence.softmax(dim=1))
        if self.neighbours is not None and self.weight > 0:
            for _ in range(NEIGHBOUR_UPDATES):
                heard = probabilities if fixed is None else fixed.weights * probabilities
                probabilities = put(
                    torch.addmm(evidence, self.neighbours.graph, heard, alpha=self.weight).softmax(
                        dim=1
                    )
                )
        return probabilities
