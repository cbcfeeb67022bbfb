"""Labeler `current`: the class of the nearest prototype in each step (LatteCLIP's c_ft).

Copy this module for a labeler without state: `refresh = "step"`, and labels computed in `assign`
from the image features and prototypes of the step. Its options are in `components/options.py`, a
module that does not import torch; its declaration is `LABELERS` in `components/__init__.py`.
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
    full_stream,
)
from latte.components.options import CurrentOptions


class CurrentLabeler(PseudoLabeler[CurrentOptions]):
    """Assigns the class whose prototype is nearest to the feature of the augmented image."""

    refresh: Refresh = "step"

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the stream `current` with weight 1 per image, or no stream if `weight` is 0.

        Of classes with equal similarity, the one with the lowest index is chosen.
        """
        if self.options.weight == 0:
            return []
        labels = aggregator.similarities(image_features).argmax(dim=1)
        return [full_stream("current", labels, image_features, self.options.weight)]
