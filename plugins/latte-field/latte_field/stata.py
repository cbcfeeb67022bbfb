"""StatA: Gaussians that are anchored at the class texts, for any number of occurring classes.

Source: Zanella, Fuchs, De Vleeschouwer, Ben Ayed: *Realistic Test-Time Adaptation of
Vision-Language Models*, CVPR 2025, arXiv 2501.03729, sections 3 and 4. Written from the paper.

    y = softmax(scale x·t), z = y, mu_c = t_c
    Sigma0 = mean_i sum_c z_ic (x_i - t_c)^2                       one diagonal for all classes
    z_ic ∝ y_ic exp{ log N(x_i; mu_c, Sigma_c) / 50 + ((W + W^T) z)_ic / 2k }
    beta_c = n_c / (1 + n_c), n_c = number of images whose largest z is c
    mu_c = unit(beta_c unit(sum_i z_ic x_i) + (1 - beta_c) t_c)
    Sigma_c = beta_c S_c + (1 - beta_c) (Sigma0 + (t_c - mu_c)^2)  S_c: variance around mu_c

Ten rounds, each with five updates of z. W has the cosines of the k = 3 nearest images. Images that
a person labelled keep their class. Defaults are the published values.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch.nn.functional import normalize

from latte.api import Options
from latte_field.base import FieldFit, FieldLabeler, FieldProblem
from latte_field.gaussians import SMALLEST_VARIANCE, log_densities, squared_distances
from latte_field.graphs import neighbour_graph

_TINY = 1e-12


class StataOptions(Options):
    """Options of the labeler `stata`."""

    likelihood: float = Field(default=0.02, ge=0, description="weight of the Gaussians")
    anchor_images: float = Field(
        default=1.0, ge=0, description="alpha, the images that a class text counts as"
    )
    neighbours: int = Field(default=3, ge=0, description="nearest images of an image; 0: none")
    rounds: int = Field(default=10, ge=1, description="updates of means and variances")
    inner_rounds: int = Field(default=5, ge=1, description="updates of z in each round")


class StataLabeler(FieldLabeler[StataOptions]):
    """Labeler that fits Gaussians anchored at the class texts."""

    stream = "stata"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the class probabilities z."""
        images, texts, options = problem.images, problem.texts, self.options
        prior = problem.log_prior
        shares = problem.with_answers(prior.exp())
        anchor = squared_distances(images, shares, texts).sum(dim=0, keepdim=True) / len(images)
        means, variances = texts, anchor.expand_as(texts).clamp_min(SMALLEST_VARIANCE)
        graph = neighbour_graph(images, options.neighbours)
        for _ in range(options.rounds):
            fixed = prior + options.likelihood * log_densities(images, means, variances)
            for _ in range(options.inner_rounds):
                shares = problem.with_answers((fixed + graph @ shares).softmax(dim=1))
            hard = shares.argmax(dim=1).bincount(minlength=len(texts)).to(images)
            weight = (hard / (options.anchor_images + hard).clamp_min(_TINY)).unsqueeze(1)
            centres = normalize(shares.T @ images, dim=1)
            means = normalize(torch.lerp(texts, centres, weight), dim=1)
            held = anchor + (texts - means).square()
            counts = shares.sum(dim=0).unsqueeze(1).clamp_min(_TINY)
            spread = squared_distances(images, shares, means) / counts
            variances = torch.lerp(held, spread, weight).clamp_min(SMALLEST_VARIANCE)
        return FieldFit(shares)
