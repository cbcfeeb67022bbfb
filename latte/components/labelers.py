"""Labelers `frozen` (LatteCLIP's c_zs) and `current` (LatteCLIP's c_ft).

A labeler assigns a pseudo-label, which is a class with a weight, to each training image. Labels
from one source are a label stream.

To write your own labeler, copy one of the two classes. `FrozenLabeler` computes labels once, in
`start`; `CurrentLabeler` has no state, and computes labels in each step. A labeler whose labels
change at other times also implements `state` and `load_state`. The options are in
`components/options.py`, a module that does not import torch; the declarations are in
`components/__init__.py`; the tests are `latte.testing.PseudoLabelerContract`.
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
        """Return the zero-shot labels of the batch with weight 1 per image, as stream `frozen`.

        If the option `weight` is 0, no stream is returned.
        """
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
        """Return the class of the nearest prototype with weight 1 per image, as stream `current`.

        If several classes are equally near, the class with the lowest index is chosen. If the
        option `weight` is 0, no stream is returned.
        """
        if self.options.weight == 0:
            return []
        labels = aggregator.similarities(image_features).argmax(dim=1)
        return [full_stream("current", labels, image_features, self.options.weight)]
