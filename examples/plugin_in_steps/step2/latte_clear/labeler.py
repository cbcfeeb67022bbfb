"""The labeler and its options."""

from __future__ import annotations

from typing import Any

from latte.api import Batch, LabelStream, Options, PrototypeAggregator, PseudoLabeler
from pydantic import Field
from torch import Tensor


class ClearOptions(Options):
    """Options of the labeler `clear`."""

    margin: float = Field(
        default=0.02, ge=0, le=2, description="least lead of the best class, in cosine"
    )


class ClearLabeler(PseudoLabeler[ClearOptions]):
    """Give weight 1 to images whose best class leads by `margin`, else weight 0."""

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return one label stream for the features (B, D) of a batch."""
        similarities = aggregator.similarities(image_features)
        best = similarities.topk(2, dim=1)
        clear = best.values[:, 0] - best.values[:, 1] >= self.options.margin
        return [LabelStream("clear", best.indices[:, 0], clear.to(similarities.dtype))]
