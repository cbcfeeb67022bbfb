"""Labelers `frozen` (LatteCLIP's c_zs) and `current` (LatteCLIP's c_ft).

A labeler assigns a pseudo-label, which is a class with a weight, to each training image. Labels
from one source are a label stream. To write your own labeler, copy one of the two classes. A
labeler that computes labels in `on_epoch_start` also implements `state` and `load_state`, so that
a run can resume within an epoch.
"""

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
from latte.components.options import CurrentOptions, FrozenOptions


class FrozenLabeler(PseudoLabeler[FrozenOptions]):
    """Assigns the zero-shot class to each training image."""

    refresh: Refresh = "never"
    _labels: Tensor

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot labels (N,) on the CPU, because a batch's indices are on the CPU."""
        self._labels = start.zero_shot_labels.cpu()

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the zero-shot labels of the batch as stream `frozen`; none if `weight` is 0."""
        if self.options.weight == 0:
            return []
        labels = self._labels[batch.indices].to(image_features.device, non_blocking=True)
        return [full_stream("frozen", labels, image_features, self.options.weight)]


class CurrentLabeler(PseudoLabeler[CurrentOptions]):
    """Assigns the class whose prototype is nearest to the feature of the augmented image."""

    refresh: Refresh = "step"

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the classes of the nearest prototypes as stream `current`; none if `weight` is 0.

        If several classes are equally near, the class with the lowest index is chosen.
        """
        if self.options.weight == 0:
            return []
        labels = aggregator.similarities(image_features).argmax(dim=1)
        return [full_stream("current", labels, image_features, self.options.weight)]
