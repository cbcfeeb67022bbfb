"""ECALP: label propagation over a graph of texts and images, with re-weighted features.

Source: Li, Su, Goodge, Jia, Xu: *Efficient and Context-Aware Label Propagation for Zero-/Few-Shot
Training-Free Adaptation of Vision-Language Models*, ICLR 2025, arXiv 2412.18303, sections 3.2 to
3.4. The paper adds one image at a time to the graph; here all images of a folder are a set.

    w_d ∝ variance of dimension d over the class texts          (context of the task)
    s_ij = unit(w x_i) · x_j,   s_ic = x_i · t_c
    W: the 8 largest s_ij of each image i (its own is one of them), and the 3 largest s_ic, to the
       even power gamma, so that negative ones count, too; W + W^T is normalised as
       S = D^-1/2 (W + W^T) D^-1/2
    F_images <- S_images F,   F_texts = I,   three times from F_images = 0

Images that a person labelled are nodes with fixed classes, to which each image has 8 further links.
Their cosines divide the dimensions by the variance over these images. Defaults are published.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Options, nearest_rows
from latte_field.base import FieldFit, FieldLabeler, FieldProblem, shares
from latte_field.graphs import TextGraph

_TINY = 1e-12


class EcalpOptions(Options):
    """Options of the labeler `ecalp`."""

    text_neighbours: int = Field(default=3, ge=1, description="nearest texts of an image")
    image_neighbours: int = Field(
        default=8, ge=1, description="nearest images of an image, and nearest answered images"
    )
    power: float = Field(default=10.0, gt=0, description="exponent gamma of all cosines")
    rounds: int = Field(default=3, ge=1, description="number of propagation steps")


class EcalpLabeler(FieldLabeler[EcalpOptions]):
    """Labeler that spreads the classes of texts in three steps over re-weighted neighbours."""

    stream = "ecalp"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the propagated scores as shares."""
        classes, images = len(problem.texts), problem.images
        graph = self._graph(problem)
        fixed = torch.eye(classes, device=images.device)
        scores = problem.with_answers(images.new_zeros(len(images), classes))
        for _ in range(self.options.rounds):
            everything = torch.cat([fixed, scores])
            scores = problem.with_answers(graph.spread(everything)[classes:])
        return FieldFit(shares(scores))

    def _graph(self, problem: FieldProblem) -> TextGraph:
        images, texts, options = problem.images, problem.texts, self.options
        variances = texts.var(dim=0) if len(texts) > 1 else torch.ones_like(texts[0])
        weighted = normalize(images * variances, dim=1)
        links = [
            _links(weighted, images, options.image_neighbours, options.power, len(texts)),
            _links(images, texts, options.text_neighbours, options.power, 0),
        ]
        if len(rows := problem.answered) > 1:
            answered = images[rows]
            queries = normalize(images / answered.var(dim=0).clamp_min(_TINY), dim=1)
            edges, places = _links(queries, answered, options.image_neighbours, options.power, 0)
            links.append((edges, rows[places] + len(texts)))
        weights, nodes = (torch.cat(link_parts, dim=1) for link_parts in zip(*links, strict=True))
        return TextGraph.of(weights, nodes, len(texts))


def _links(
    queries: Tensor, rows: Tensor, count: int, power: float, offset: int
) -> tuple[Tensor, Tensor]:
    """Return edge weights (N, k) and nodes (N, k) of the nearest rows of each query."""
    cosines, indices = nearest_rows(queries, rows, count)
    return cosines.abs() ** power, indices + offset
