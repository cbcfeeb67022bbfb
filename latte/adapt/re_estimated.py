"""Adaptation without training: prototypes from descriptions and frozen features alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte.adapt.momentum import MomentumPrototypes
from latte.adapt.options import MomentumOptions, ReEstimatedOptions
from latte.interfaces import (
    Classifier,
    LabelStream,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)

_AT_REST = 1e-6
"""Prototypes of which no entry moves further in a round are at a fixed point."""


class ReEstimatedPrototypes(PrototypeAggregator[ReEstimatedOptions]):
    """LatteCLIP's prototype update, taken over the whole training set until nothing moves.

    At the published learning rate the towers hardly change while prototypes follow the texts, so
    this leaves the towers out. All work is done in `start`; steps, if a recipe has any, train the
    towers towards these prototypes, which stay.
    """

    _prototypes: Tensor
    _owners: Tensor

    @torch.no_grad()
    def start(self, start: TrainingStart) -> None:
        """Begin with the zero-shot classifier, and update it for `rounds` rounds at the most."""
        options = MomentumOptions(momentum=self.options.momentum, mixer=self.options.mixer)
        moving = MomentumPrototypes(options, self.context)
        moving.start(start)
        images = images_among_texts(start.image_features, start.class_features)
        prototypes = moving.classifier().weights
        for _ in range(self.options.rounds):
            before = prototypes
            moving.commit(self._supervisions(moving, start, images.to(before)))
            prototypes = moving.classifier().weights
            if torch.allclose(prototypes, before, rtol=0.0, atol=_AT_REST):
                break
        self._prototypes = prototypes
        self._owners = torch.arange(len(prototypes), device=self.context.device)

    def _supervisions(
        self, moving: MomentumPrototypes, start: TrainingStart, images: Tensor
    ) -> list[Supervision]:
        """Targets of all images under both pseudo-labels, the frozen and the current one."""
        features = start.image_features.to(images)
        current = moving.logits(features).argmax(dim=1)
        streams = {"frozen": start.frozen_labels.to(current), "current": current}
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

    def classifier(self) -> Classifier:
        """The prototypes (C, D), which do not change any more."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Targets (B, D) are the labels' prototypes. `texts` have been heard in `start`."""
        targets = self._prototypes[stream.labels]
        return Supervision(stream, targets, class_weights=self._prototypes, owners=self._owners)

    def state(self) -> dict[str, Tensor]:
        """The prototypes (C, D)."""
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)


def images_among_texts(image_features: Tensor, class_features: Tensor) -> Tensor:
    """Images (N, D) moved by the difference of the modalities' means, from class texts (C, D).

    CLIP's images and texts lie apart, by about the same vector everywhere (Liang et al. 2022,
    NeurIPS: Mind the gap). A prototype that images pull across would be nearer to every image than
    one of a class without images.
    """
    gap = image_features.mean(dim=0) - class_features.to(image_features).mean(dim=0)
    return image_features - gap
