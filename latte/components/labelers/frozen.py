"""The zero-shot class of each training image, never changed (LatteCLIP's c_zs)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from latte.api import (
    Batch,
    LabelStream,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
    full_stream,
)
from latte.components.options import FrozenOptions


class FrozenLabeler(PseudoLabeler[FrozenOptions]):
    """The zero-shot class of each training image, never changed (LatteCLIP's c_zs)."""

    refresh: Refresh = "never"
    _labels: Tensor

    def start(self, start: TrainingStart) -> None:
        """Keep the zero-shot labels, on the CPU as the indices of a batch are."""
        self._labels = start.zero_shot_labels.cpu()

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """One stream `frozen`, in which every sample counts fully; none if its weight is 0."""
        if self.options.weight == 0:
            return []
        labels = self._labels[batch.indices].to(image_features.device)
        return [full_stream("frozen", labels, image_features, self.options.weight)]
