"""TransCLIP: Gaussians with shared variances, zero-shot labels as prior, neighbours that agree.

Source: Zanella, Gérin, Ben Ayed: *Boosting Vision-Language Models with Transduction*, NeurIPS 2024,
arXiv 2406.01837, section 3. Written from the paper.

    y = softmax(scale x·t), z = y
    mu_c = unit mean of the 8 images of largest y_c, weighted by softmax;  Sigma = 1/D
    z_ic ∝ y_ic exp{ a log N(x_i; mu_c, Sigma) + b ((W + W^T) z)_ic / 2k }
    mu_c = unit(sum_i z_ic x_i),  Sigma = sum_ic z_ic (x_i - mu_c)^2 / N

Ten rounds, each with five updates of z. Images that a person labelled keep their class. New images
are classified by cosine with unit(a mu_c / Sigma + scale t_c). The weights a = 0.1, b = 10 and
k = 10 are not the paper's: latte's authors chose them on other sets than those of latte's pages.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Options
from latte_field.base import FieldFit, FieldLabeler, FieldProblem
from latte_field.gaussians import SMALLEST_VARIANCE
from latte_field.graphs import neighbour_graph

_FIRST_IMAGES = 8
_TINY = 1e-30


class TransclipOptions(Options):
    """Options of the labeler `transclip`."""

    likelihood: float = Field(default=0.1, ge=0, description="weight a of the Gaussians")
    agreement: float = Field(default=10.0, ge=0, description="weight b of the neighbours' classes")
    neighbours: int = Field(default=10, ge=0, description="nearest images of an image; 0: none")
    rounds: int = Field(default=10, ge=1, description="updates of means and variances")
    inner_rounds: int = Field(default=5, ge=1, description="updates of z in each round")


class TransclipLabeler(FieldLabeler[TransclipOptions]):
    """Labeler that fits Gaussians with shared variances."""

    stream = "transclip"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the class probabilities z, and a linear classifier of new images."""
        images, options, prior = problem.images, self.options, problem.log_prior
        shares = problem.with_answers(prior.exp())
        means = _first_means(shares.clamp_min(_TINY).log(), images)
        variances = torch.full_like(images[0], 1 / images.shape[1])
        graph = neighbour_graph(images, options.neighbours)
        for _ in range(options.rounds):
            rates = means / variances
            densities = images @ rates.T - 0.5 * (means * rates).sum(dim=1)
            fixed = prior + options.likelihood * densities
            for _ in range(options.inner_rounds):
                logits = fixed + options.agreement * (graph @ shares)
                shares = problem.with_answers(logits.softmax(dim=1))
            sums, counts = shares.T @ images, shares.sum(dim=0)
            lengths = sums.norm(dim=1, keepdim=True)
            means = torch.where(lengths > 0, sums / lengths, means)
            squares = images.square().sum(dim=0) - 2 * (sums * means).sum(dim=0)
            variances = (squares + counts @ means.square()) / len(images)
            variances = variances.clamp_min(SMALLEST_VARIANCE)
        rows = means * (options.likelihood / variances) + problem.scale * problem.texts
        return FieldFit(shares, problem.linear(problem.scale * normalize(rows, dim=1)))


def _first_means(log_shares: Tensor, images: Tensor) -> Tensor:
    best, places = log_shares.topk(min(_FIRST_IMAGES, len(images)), dim=0)
    return normalize(torch.einsum("kc,kcd->cd", best.softmax(dim=0), images[places]), dim=1)
