"""The class of the nearest prototype in each step (LatteCLIP's c_ft)."""

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
        labels = aggregator.similarities(image_features).argmax(dim=1)
        return [full_stream("current", labels, image_features, self.options.weight)]
