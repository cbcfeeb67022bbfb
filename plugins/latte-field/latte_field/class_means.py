"""Nearest class means: a control, the classifier that methods without a linear one get.

    p  = softmax(scale x·t)
    m_c = unit( sum_i p_ic x_i + t_c - mean(t) + mean(x) )
    label of x = argmax_c x·m_c

Class means of zero-shot labels are the simplest transduction. The class text is moved by the gap
between texts and images: Liang et al., *Mind the Gap*, NeurIPS 2022.
"""

from __future__ import annotations

from latte.api import NoOptions
from latte_field.base import FieldFit, FieldLabeler, FieldProblem


class ClassMeansLabeler(FieldLabeler[NoOptions]):
    """Labeler by the nearest mean of the images that zero-shot CLIP gives to a class."""

    stream = "class-means"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the softmax of the similarities with the means, and the means as classifier."""
        prior = problem.with_answers(problem.log_prior.exp())
        means = problem.nearest_means(prior)
        logits = problem.scale * means.similarities(problem.images)
        return FieldFit(problem.with_answers(logits.softmax(dim=1)), means)
