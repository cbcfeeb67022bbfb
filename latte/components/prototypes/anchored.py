"""Class prototypes between a class's text and the centre of its images, without any training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import EstimatedPrototypes, TrainingStart, rows_per_block, shift_to_texts
from latte.components.options import AnchoredOptions

_ROWS_A_BLOCK = 8192
"""Images whose (rows, C) probabilities are held at once; fewer where there are many classes."""


class AnchoredPrototypes(EstimatedPrototypes[AnchoredOptions]):
    """Between text and images, as far as a class has images; texts about images are not read."""

    def estimate(self, start: TrainingStart) -> Tensor:
        """See `anchored_prototypes`."""
        scale = float(self.context.frozen_clip().logit_scale.detach())
        return anchored_prototypes(
            start.image_features.to(self.context.device),
            start.class_features.detach().to(self.context.device),
            scale,
            self.options,
        )


@torch.no_grad()
def anchored_prototypes(
    image_features: Tensor, class_features: Tensor, logit_scale: float, options: AnchoredOptions
) -> Tensor:
    """Unit features of N images (N, D) and C class texts (C, D) -> unit prototypes (C, D).

    In each round images are shared among the classes by their probabilities under the prototypes
    so far, and a prototype becomes the unit vector of

        (1 - b) * text + b * centre,    b = image_weight * n / (n + shrinkage),

    with n the number of images that the class has, in shares. Images are moved by `shift_to_texts`
    before centres are taken. A class without images keeps its text.
    """
    shift = shift_to_texts(image_features, class_features)
    prototypes = class_features
    for _ in range(options.rounds):
        counts, sums = _shared(image_features, prototypes, logit_scale * options.sharpness)
        centres = normalize(sums + counts * shift, dim=1)
        weight = options.image_weight * counts / (counts + options.shrinkage)
        weight = torch.where(counts > 0, weight, 0)
        prototypes = normalize(torch.lerp(class_features, centres, weight), dim=1)
    return prototypes


def _shared(features: Tensor, prototypes: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Images a class (C, 1), in shares, and the sum (C, D) of their features."""
    counts = prototypes.new_zeros(len(prototypes), 1)
    sums = torch.zeros_like(prototypes)
    for block in torch.split(features, min(_ROWS_A_BLOCK, rows_per_block(len(prototypes)))):
        shares = (scale * block @ prototypes.T).softmax(dim=1)
        counts += shares.sum(dim=0).unsqueeze(1)
        sums += shares.T @ block
    return counts, sums
