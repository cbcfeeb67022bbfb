"""Mixture of one Gaussian per class, fitted to all images and anchored at the class texts.

Likelihood, text prior, neighbour term and alternating updates are those of TransCLIP-ZS (Zanella,
Gherin, Ben Ayed: Boosting Vision-Language Models with Transduction, NeurIPS 2024). The fewer images
support a class, the closer its mean is to its text, as in StatA (Zanella, Fuchs, De Vleeschouwer,
Ben Ayed: Realistic Test-Time Adaptation of Vision-Language Models, CVPR 2025). Answers about images
fix their class, as far as the answers are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from latte.api import neighbour_agreement
from latte_questions.assigned import Assigned
from latte_questions.neighbours import Neighbours, neighbours_of
from latte_questions.options import MixtureOptions
from latte_questions.space import Space

NEIGHBOUR_UPDATES = 5
"""Number of neighbour updates of the posteriors per update of the Gaussians."""
ANSWER = 10.0
"""An image whose class is certain counts as this many images."""
_EVIDENCE = 3.0
"""If the largest evidence logit of an image has this value, the certainty of its class is 63 % (1 -
1/e)."""


@dataclass(frozen=True)
class Mixture:
    """Fitted Gaussian mixture: posteriors of N images, and a linear classifier for other images.

    `features @ rows.T + bias` are the logits of C Gaussians, which are added to the text logits.
    """

    posteriors: Tensor
    """(N, C): class probabilities of the images, including the neighbour term."""
    rows: Tensor
    """(C, D): weights of the linear classifier."""
    bias: Tensor
    """(C,): bias of the linear classifier."""


def fit_mixture(
    images: Tensor,
    texts: Tensor,
    logit_scale: float,
    options: MixtureOptions,
    corrections: Tensor | None = None,
    evidence: Tensor | None = None,
) -> Mixture:
    """Return the Gaussian mixture of unit features (N, D) of N > 0 images and class texts (C, D).

    Each iteration computes, from the labels so far,

        k_c = (r k_even + (1 - r) k_few) / support_c²
        mean_c = unit(sum_i z_ic x_i + k_c a_c)
        e_ic = text_ic + w log N(x_i; mean_c, variances) - r² debias mean_i text_ic
        z_i = softmax over c of e_ic + v sum_j g_ij z_jc, five times

    with, for image i and class c:

        x_i, t_c    unit feature of the image, and of the class text
        text_ic     logit of the class text, `logit_scale` x_i · t_c
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
    image of class c, z_i is fixed. The image counts as ten images in mean_c, in the variances and
    as a neighbour. support_c is 1, because a person's answer outweighs the zero-shot labels. For
    all images i, e_ic is raised by (1 - r) times a gap. The gap is the largest text logit minus the
    text logit of c, averaged over the given images of class c.

    `evidence` (N, C) has logits that a describer's answers imply, and 0 elsewhere. They are added
    to e_ic. If the largest logit of an image in `evidence` is e > 0, its class has the certainty
    b = 1 - exp(-e / 3). The image counts as 1 + 9 b images, and it changes the support and the
    logits of its class by the share b of the change that a person's answer would make.
    """
    anchors = normalize(texts + (images.mean(dim=0) - texts.mean(dim=0)), dim=1)
    prior = logit_scale * (images @ texts.T)
    zero_shot, middle = prior.argmax(dim=1), prior.mean(dim=0)
    fixed = _Fixed.of(corrections, evidence, len(texts), images)
    # In the variances, an answered image has the weight that it has in the means.
    space = Space.of(images, anchors, None if fixed is None else fixed.weights)
    term = NeighbourTerm.of(images, zero_shot, options)
    spread = options.image_weight * float(prior.var(dim=1, correction=0).mean().sqrt())
    heard = prior if evidence is None else prior + evidence
    posteriors = heard.softmax(dim=1) if fixed is None else fixed.put(heard.softmax(dim=1))
    lift = torch.zeros_like(middle) if fixed is None else fixed.lift(prior)
    belief = None if fixed is None else fixed.belief
    rows, bias = torch.zeros_like(anchors), torch.zeros_like(middle)
    for iteration in range(options.iterations):
        assigned = Assigned.of(posteriors.argmax(dim=1), zero_shot, middle, belief)
        counted = posteriors if fixed is None else fixed.weights * posteriors
        rows, bias = space.classifier(
            counted, assigned.anchoring(options), spread, learn_variances=iteration > 0
        )
        bias = bias - assigned.evenness**2 * options.debias * (middle - middle.mean())
        if fixed is not None:
            bias = bias + (1 - assigned.evenness) * lift
        posteriors = term.posteriors(torch.addmm(heard + bias, images, rows.T), fixed)
    return Mixture(posteriors, rows, bias)


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
        weights[rows] = ANSWER
        number = len(rows)
        if evidence is not None:
            most, label = evidence.max(dim=1)
            heard = ((most > 0) & (corrections < 0)).nonzero().squeeze(1)
            belief = -torch.expm1(-most[heard] / _EVIDENCE).unsqueeze(1)
            weights[heard] = 1 + (ANSWER - 1) * belief
            rows = torch.cat([rows, heard])
            certainty = torch.cat([certainty, belief * one_hot(label[heard], classes)])
        return cls(rows, certainty, weights, number)

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
