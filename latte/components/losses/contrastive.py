"""The symmetric contrastive loss of CLIP, between images and the targets they should match."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from latte.api import LabelStream, LatteError, Loss, Supervision
from latte.components.options import ContrastiveOptions


class ContrastiveLoss(Loss[ContrastiveOptions]):
    """Mean of two cross-entropies: each image picks its target, each target picks its image.

    A sample of weight 0 is neither an image, nor a target, nor a negative of others; the other
    weights make both means weighted ones. `positives` decides about targets of the same label:
    negatives like all others (`diagonal`: CLIP, FLYP, LatteCLIP), further positives in equal
    shares (`multi`), or not there at all (`ignore`).
    """

    requires: ClassVar[Literal["targets", "classifier"]] = "targets"

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Unit features (B, D), targets (B, D) -> a scalar; 0 where all weights are 0.

        Raises `LatteError` where the prototypes give no targets.
        """
        if supervision.targets is None:
            raise LatteError(
                "the loss `contrastive` needs a target for each image, and these prototypes "
                "give none",
                hint="use prototypes that do, such as `momentum` or `templates`",
            )
        fixed = self.options.logit_scale
        scale = logit_scale if fixed is None else fixed
        positives, absent = self._pairs(supervision.stream)
        logits = (scale * image_features @ supervision.targets.T).masked_fill(absent, -torch.inf)
        weights = supervision.stream.weights.to(logits.dtype)
        by_image = _cross_entropies(logits, positives)
        by_target = _cross_entropies(logits.T, positives)
        return _weighted_mean((by_image + by_target) / 2, weights)

    def _pairs(self, stream: LabelStream) -> tuple[Tensor, Tensor]:
        """Which pairs (B, B) are positive and which are not there at all; both symmetric.

        A removed sample keeps itself alone: its cross-entropy is 0, and nothing is undefined.
        """
        removed = stream.weights == 0
        absent = removed.unsqueeze(0) | removed.unsqueeze(1)
        own = torch.eye(len(removed), dtype=torch.bool, device=removed.device)
        positives = own
        if self.options.positives != "diagonal":
            alike = stream.labels.unsqueeze(0) == stream.labels.unsqueeze(1)
            if self.options.positives == "multi":
                positives = own | (alike & ~absent)
            else:
                absent = absent | alike
        return positives, absent & ~own


def _cross_entropies(logits: Tensor, positives: Tensor) -> Tensor:
    """Cross-entropy (B,) of each row of (B, B) logits with equal shares for its positives."""
    of_positives = logits.log_softmax(dim=1).masked_fill(~positives, 0.0)
    return -of_positives.sum(dim=1) / positives.sum(dim=1)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    total = weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
    return (values * weights).sum() / total
