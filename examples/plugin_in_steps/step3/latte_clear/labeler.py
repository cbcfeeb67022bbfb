"""The labeler and its options."""

from __future__ import annotations

from typing import Any

import torch
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
        labels = similarities.argmax(dim=1)
        if similarities.shape[1] == 1:  # a single class has no competitor
            return [LabelStream("clear", labels, torch.ones_like(similarities[:, 0]))]
        best = similarities.topk(2, dim=1).values
        clear = best[:, 0] - best[:, 1] >= self.options.margin
        return [LabelStream("clear", labels, clear.to(similarities.dtype))]
