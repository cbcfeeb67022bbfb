"""Features, posterior and answers that an order of asking knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.api import Posterior
from latte.toolkit.encoder_agreement import centred_directions


@dataclass(frozen=True)
class AskingProblem:
    """A folder of N images, some of which have an answer."""

    features: Tensor
    """(N, D): unit features."""
    posterior: Posterior
    """Labels of all images by the fit to the answers."""
    zero_shot: Tensor
    """(N,): zero-shot labels."""
    is_answered: Tensor
    """(N,) bool."""
    classes: int
    generator: torch.Generator

    @property
    def directions(self) -> Tensor:
        """Features (N, D) minus their mean, of unit length; orders compare images by them."""
        return centred_directions(self.features)

    @property
    def distances(self) -> Tensor:
        """Distances (N, N) between the directions."""
        directions = self.directions
        return torch.cdist(directions, directions)

    @property
    def margins(self) -> Tensor:
        """(N,): probability of an image's label minus that of its second class."""
        probabilities = self.posterior.probabilities
        second = probabilities[:, 1] if probabilities.shape[1] > 1 else 0.0
        return probabilities[:, 0] - second

    @property
    def probabilities(self) -> Tensor:
        """(N, C): class probabilities, 0 for classes that the posterior does not store."""
        stored = self.posterior
        everywhere = stored.probabilities.new_zeros(len(self.features), self.classes)
        return everywhere.scatter_(1, stored.labels, stored.probabilities)


Order = Callable[[AskingProblem, int], Tensor]
"""Function that returns the next images to ask about, none of which has an answer."""
