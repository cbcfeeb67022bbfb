"""Adaptation without training: prototypes from descriptions and frozen features alone."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.api import (
    EstimatedPrototypes,
    LabelStream,
    Supervision,
    TrainingStart,
    row_blocks,
    shift_to_texts,
)
from latte.components.options import MomentumOptions, ReEstimatedOptions
from latte.components.prototypes.momentum import MomentumPrototypes

_AT_REST = 1e-6
"""Prototypes of which no entry moves further in a round are at a fixed point."""


class ReEstimatedPrototypes(EstimatedPrototypes[ReEstimatedOptions]):
    """LatteCLIP's prototype update, taken over the whole training set until nothing moves.

    At the published learning rate the towers hardly change while prototypes follow the texts, so
    this leaves the towers out.
    """

    @torch.no_grad()
    def estimate(self, start: TrainingStart) -> Tensor:
        """Begin with the zero-shot classifier, and update it for `rounds` rounds at the most."""
        options = MomentumOptions(momentum=self.options.momentum, mixer=self.options.mixer)
        moving = MomentumPrototypes(options, self.context)
        moving.start(start)
        prototypes = moving.classifier().weights
        images = images_among_texts(start.image_features.to(prototypes), prototypes)
        for _ in range(self.options.rounds):
            before = prototypes
            moving.update(self._supervisions(moving, start, images))
            prototypes = moving.classifier().weights
            if torch.allclose(prototypes, before, rtol=0.0, atol=_AT_REST):
                break
        return prototypes

    def _supervisions(
        self, moving: MomentumPrototypes, start: TrainingStart, images: Tensor
    ) -> list[Supervision]:
        """Targets of all images under both pseudo-labels, the frozen and the current one."""
        features = start.image_features.to(images)
        current = _nearest(moving, features)
        streams = {"frozen": start.zero_shot_labels.to(current), "current": current}
        return [
            supervision
            for name, labels in streams.items()
            for supervision in self._of_stream(name, labels, moving, start, images)
        ]

    def _of_stream(
        self,
        name: str,
        labels: Tensor,
        moving: MomentumPrototypes,
        start: TrainingStart,
        images: Tensor,
    ) -> list[Supervision]:
        """An image is one more description of itself, with a share w of its own: `image_weight`.

        Its target (1 - w) z + w z', with z from the mix of its texts and z' from the image, is
        given as two targets that weigh 1 - w and w. What weighs nothing is not worked out.
        """
        share = self.options.image_weight
        supervisions = []
        if share < 1:
            texts = {text: row.to(images) for text, row in start.texts(labels).items()}
            stream = LabelStream(name, labels, images.new_full((len(labels),), 1 - share))
            supervisions.append(moving.supervise(stream, texts, images))
        if share > 0:
            own = moving.classifier().weights[labels]
            targets = torch.lerp(own, images, 1 - self.options.momentum)
            stream = LabelStream(name, labels, images.new_full((len(labels),), share))
            supervisions.append(Supervision(stream, targets))
        return supervisions


def _nearest(moving: MomentumPrototypes, features: Tensor) -> Tensor:
    blocks = row_blocks(len(features), len(moving.classifier().weights))
    return torch.cat([moving.similarities(features[rows]).argmax(dim=1) for rows in blocks])


def images_among_texts(image_features: Tensor, class_features: Tensor) -> Tensor:
    """Images (N, D), no longer of unit length, moved to where class texts (C, D) are."""
    return image_features + shift_to_texts(image_features, class_features)
