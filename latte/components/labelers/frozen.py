"""Labeler `frozen`: the zero-shot class of each training image, constant (LatteCLIP's c_zs).

Copy this module for a labeler that computes labels once, in `start`, and looks them up in `assign`.
A labeler with labels that change also implements `state` and `load_state`; this one needs neither,
because `start` computes the same labels when a run is resumed. Its options are in
`components/options.py`, a module that does not import torch; its declaration is `LABELERS` in
`components/__init__.py`; its tests are `latte.testing.PseudoLabelerContract`.
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
from latte.components.options import FrozenOptions


class FrozenLabeler(PseudoLabeler[FrozenOptions]):
    """Assigns the zero-shot class to each training image."""

    refresh: Refresh = "never"
    _labels: Tensor

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot labels (N,) on the CPU, like the indices of a batch."""
        self._labels = start.zero_shot_labels.cpu()

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the stream `frozen` with weight 1 per image, or no stream if `weight` is 0."""
        if self.options.weight == 0:
            return []
        labels = self._labels[batch.indices].to(image_features.device, non_blocking=True)
        return [full_stream("frozen", labels, image_features, self.options.weight)]
