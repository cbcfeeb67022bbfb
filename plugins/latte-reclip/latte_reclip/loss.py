"""Cross-entropy on pseudo-labels, of which only some count (ReCLIP, section 3.3)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from latte.api import Classifier, LatteError, Loss, Supervision
from latte_reclip.options import MaskedCrossEntropyOptions


class MaskedCrossEntropy(Loss[MaskedCrossEntropyOptions]):
    """Each image picks its label among all classes; weights say how much it counts."""

    requires: ClassVar[Literal["targets", "class_weights"]] = "class_weights"

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Unit features (B, D), class weights (C·K, D) -> a scalar; 0 where all weights are 0.

        Raises `LatteError` where the prototypes give no class weights.
        """
        weights, owners = supervision.class_weights, supervision.owners
        if weights is None or owners is None:
            raise LatteError(
                "the loss `masked-cross-entropy` needs class weights, and these prototypes "
                "give none",
                hint="use prototypes that do, such as `templates` or `centroids`",
            )
        fixed = self.options.logit_scale
        scale = logit_scale if fixed is None else fixed
        logits = scale * Classifier(weights, owners).similarities(image_features)
        each = cross_entropy(logits, supervision.stream.labels, reduction="none")
        return self._reduced(each, supervision.stream.weights.to(each.dtype))

    def _reduced(self, each: Tensor, weights: Tensor) -> Tensor:
        counted = weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        mean = (each * weights).sum() / counted
        return mean / len(weights) if self.options.normalization == "published" else mean
