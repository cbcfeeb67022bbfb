"""Class prototypes between a class's text and the centre of its images, without any training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.adapt.options import AnchoredOptions
from latte.interfaces import (
    Classifier,
    LabelStream,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)

_ROWS_A_BLOCK = 8192
"""Images whose (rows, C) probabilities are held at once."""


class AnchoredPrototypes(PrototypeAggregator[AnchoredOptions]):
    """Estimated once, from frozen features; a run with steps trains towards them as they are."""

    _prototypes: Tensor
    _owners: Tensor

    def start(self, start: TrainingStart) -> None:
        """Estimate the prototypes; see `anchored_prototypes`."""
        scale = float(self.context.frozen_clip().logit_scale.detach())
        self._prototypes = anchored_prototypes(
            start.image_features.to(self.context.device),
            start.class_features.detach().to(self.context.device),
            scale,
            self.options,
        )
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)

    def classifier(self) -> Classifier:
        """The prototypes (C, D)."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """The prototype of each label, whatever is written about the images."""
        targets = self._prototypes[stream.labels]
        return Supervision(stream, targets, class_weights=self._prototypes, owners=self._owners)

    def state(self) -> dict[str, Tensor]:
        """The prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)


@torch.no_grad()
def anchored_prototypes(
    image_features: Tensor, class_features: Tensor, logit_scale: float, options: AnchoredOptions
) -> Tensor:
    """Unit features of N images (N, D) and C class texts (C, D) -> unit prototypes (C, D).

    In each round images are shared among the classes by their probabilities under the prototypes
    so far, and a prototype becomes the unit vector of

        (1 - b) * text + b * centre,    b = image_weight * n / (n + shrinkage),

    with n the number of images that the class has, in shares. Images are moved by the difference
    of the two modalities' means before centres are taken: image and text features lie in cones of
    their own (Liang et al. 2022, NeurIPS: Mind the gap), and a centre as it stands would be nearer
    to every image than any text. A class without images keeps its text.
    """
    shift = class_features.mean(dim=0) - image_features.mean(dim=0)
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
    for block in torch.split(features, _ROWS_A_BLOCK):
        shares = (scale * block @ prototypes.T).softmax(dim=1)
        counts += shares.sum(dim=0).unsqueeze(1)
        sums += shares.T @ block
    return counts, sums
