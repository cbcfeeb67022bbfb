"""Weighted cross-entropy on pseudo-labels (ReCLIP, section 3.3)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from latte.api import LatteError, Loss, Supervision
from latte_reclip.options import MaskedCrossEntropyOptions


class MaskedCrossEntropy(Loss[MaskedCrossEntropyOptions]):
    """Cross-entropy of each image over all classes, weighted per image."""

    requires: ClassVar[Literal["targets", "classifier"]] = "classifier"

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss of unit features (B, D), a scalar; 0 if all weights are 0."""
        if supervision.classifier is None:
            raise LatteError(
                "the loss `masked-cross-entropy` needs a classifier, and these prototypes "
                "give none",
                hint="use prototypes that do, such as `templates` or `from-labeler`",
            )
        fixed = self.options.logit_scale
        scale = logit_scale if fixed is None else fixed
        logits = scale * supervision.classifier.similarities(image_features)
        each = cross_entropy(logits, supervision.stream.labels, reduction="none")
        weights = supervision.stream.weights.to(each.dtype)
        counted = weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        mean = (each * weights).sum() / counted
        return mean / len(weights) if self.options.normalization == "published" else mean
