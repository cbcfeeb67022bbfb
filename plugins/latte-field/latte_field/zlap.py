"""ZLaP: label propagation over class texts and images.

Source: Kalantidis, Tolias et al., *Label Propagation for Zero-shot Classification with
Vision-Language Models*, CVPR 2024, arXiv 2404.04072, sections 3.2 and 3.3.

The nodes of the graph are C class texts, then N images. W is symmetric: an image is linked to its
nearest images by their cosine, at least 0, and to its nearest texts by cosine to the power gamma.

    S = D^-1/2 W D^-1/2,   D_ii = sum_j W_ij
    F = (I - alpha S)^-1 Y

Y (C + N, C) is 1 for a text and its class; here also for an image and the class that a person gave.
The inverse is the series of (alpha S)^k. Defaults are the published values.
"""

from __future__ import annotations

import torch
from pydantic import Field

from latte.api import Options, nearest_neighbours, nearest_rows
from latte_field.base import FieldFit, FieldLabeler, FieldProblem, shares
from latte_field.graphs import TextGraph

_TOLERANCE = 1e-7


class ZlapOptions(Options):
    """Options of the labeler `zlap`."""

    neighbours: int = Field(default=5, ge=1, description="nearest texts; one image fewer")
    text_power: float = Field(
        default=5.0, gt=0, description="exponent gamma of cosines between image and text"
    )
    alpha: float = Field(
        default=0.3, ge=0, lt=1, description="share of a score that comes from linked nodes"
    )


class ZlapLabeler(FieldLabeler[ZlapOptions]):
    """Labeler that spreads the classes of texts over a graph of texts and images."""

    stream = "zlap"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the propagated scores as shares."""
        classes = len(problem.texts)
        graph = self._graph(problem)
        seeds = torch.eye(classes + len(problem.images), classes, device=problem.images.device)
        seeds[classes + problem.answered] = problem.answer_rows
        scores, term = seeds, seeds
        while float(term.abs().max()) > _TOLERANCE:
            term = self.options.alpha * graph.spread(term)
            scores = scores + term
        return FieldFit(problem.with_answers(shares(scores[classes:])))

    def _graph(self, problem: FieldProblem) -> TextGraph:
        images, texts, count = problem.images, problem.texts, self.options.neighbours
        # In the published search an image is the first of its own neighbours, which has no edge.
        cosines, near_images = nearest_neighbours(images, count - 1)
        text_cosines, near_texts = nearest_rows(images, texts, count)
        edges = text_cosines.clamp_min(0) ** self.options.text_power
        weights = torch.cat([cosines.clamp_min(0), edges], dim=1)
        nodes = torch.cat([near_images + len(texts), near_texts], dim=1)
        return TextGraph.of(weights, nodes, len(texts))
