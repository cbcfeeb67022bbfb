"""Prototypes `re-estimated`: LatteCLIP's update on frozen features, without training."""

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
"""Largest change of an entry per update at which prototypes are at a fixed point."""


class ReEstimatedPrototypes(EstimatedPrototypes[ReEstimatedOptions]):
    """LatteCLIP's prototype update over the whole training set, repeated until a fixed point.

    At the published learning rate the towers hardly change while prototypes follow the texts, so
    the towers stay frozen here.
    """

    @torch.no_grad()
    def estimate(self, start: TrainingStart) -> Tensor:
        """Return the zero-shot prototypes (C, D) after at most `rounds` updates."""
        options = MomentumOptions(momentum=self.options.momentum, mixer=self.options.mixer)
        moving = MomentumPrototypes(options, self.context)
        moving.start(start)
        prototypes = moving.classifier().weights
        images = start.image_features.to(prototypes)
        images = images + shift_to_texts(images, prototypes)
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
        """Return the supervisions of all images, for zero-shot and for current labels."""
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
        """Return the supervisions of one stream, from the texts and from the images.

        With w = `image_weight`, the target of an image is (1 - w) z + w z', with z from the mixed
        texts and z' from the image feature. It is returned as two supervisions, with the targets z
        and z' and the weights 1 - w and w; a supervision of weight 0 is left out.
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
