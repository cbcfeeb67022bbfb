"""LatteCLIP's two opinions about a batch: the frozen zero-shot class, and the current one.

Each stream has a weight of its own. The released code multiplies the sum of both losses by
lambda_ft, so that 0 leaves no loss at all, and its prototypes follow both streams whatever the
weights are; here a stream of weight 0 does not exist.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from latte.components.options import CurrentOptions, FrozenOptions
from latte.interfaces import (
    Batch,
    LabelStream,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
)


class FrozenLabeler(PseudoLabeler[FrozenOptions]):
    """The zero-shot class of each training image, never changed (LatteCLIP's c_zs)."""

    refresh: Refresh = "never"
    _labels: Tensor

    def start(self, start: TrainingStart) -> None:
        """Keep the zero-shot labels, on the CPU as the indices of a batch are."""
        self._labels = start.frozen_labels.cpu()

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """One stream `frozen`, in which every sample counts fully; none if its weight is 0."""
        if self.options.weight == 0:
            return []
        labels = self._labels[batch.indices].to(image_features.device)
        return [_full_stream("frozen", labels, image_features, self.options.weight)]


class CurrentLabeler(PseudoLabeler[CurrentOptions]):
    """The class of the nearest prototype, now, on the image as augmented (LatteCLIP's c_ft)."""

    refresh: Refresh = "step"

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """One stream `current`, in which every sample counts fully; none if its weight is 0.

        Of classes that are equally near, the one with the lowest index wins.
        """
        if self.options.weight == 0:
            return []
        labels = aggregator.logits(image_features).argmax(dim=1)
        return [_full_stream("current", labels, image_features, self.options.weight)]


def _full_stream(name: str, labels: Tensor, image_features: Tensor, scale: float) -> LabelStream:
    return LabelStream(name, labels, image_features.new_ones(len(labels)), scale)
