"""Prototypes `anchored`: between the text of a class and the centre of its images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import EstimatedPrototypes, TrainingStart, rows_per_block, shift_to_texts
from latte.components.options import AnchoredOptions

_ROWS_PER_BLOCK = 8192
"""Largest number of images per block of probabilities (images, C); fewer for many classes."""


class AnchoredPrototypes(EstimatedPrototypes[AnchoredOptions]):
    """Prototypes from class texts and frozen image features; descriptions are not used."""

    def estimate(self, start: TrainingStart) -> Tensor:
        """Return the prototypes that `anchored_prototypes` estimates from all training images."""
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
    """Estimate unit prototypes (C, D) from unit features of images (N, D) and class texts (C, D).

    In each round, images are assigned softly to classes by their probabilities under the current
    prototypes, and a prototype becomes the unit vector along

        (1 - b) * text + b * centre,    b = image_weight * n / (n + shrinkage),

    where n is the sum of the class's probabilities. Centres are means of images after
    `shift_to_texts`. A class without images keeps its text.
    """
    shift = shift_to_texts(image_features, class_features)
    prototypes = class_features
    for _ in range(options.rounds):
        counts, sums = _assigned(image_features, prototypes, logit_scale * options.sharpness)
        centres = normalize(sums + counts * shift, dim=1)
        weight = options.image_weight * counts / (counts + options.shrinkage)
        weight = torch.where(counts > 0, weight, 0)
        prototypes = normalize(torch.lerp(class_features, centres, weight), dim=1)
    return prototypes


def _assigned(features: Tensor, prototypes: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return, per class, summed probabilities (C, 1) and the weighted sum of features (C, D)."""
    counts = prototypes.new_zeros(len(prototypes), 1)
    sums = torch.zeros_like(prototypes)
    for block in torch.split(features, min(_ROWS_PER_BLOCK, rows_per_block(len(prototypes)))):
        shares = (scale * block @ prototypes.T).softmax(dim=1)
        counts += shares.sum(dim=0).unsqueeze(1)
        sums += shares.T @ block
    return counts, sums
