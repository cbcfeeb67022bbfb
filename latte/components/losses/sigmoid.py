"""Loss `sigmoid`: the pairwise loss with which sigmoid models are pretrained."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latte.api import LatteError, Loss, NoOptions, Supervision
from latte.components.losses.contrastive import weighted_mean


class SigmoidLoss(Loss[NoOptions]):
    """Logistic loss of each pair of an image and a target (Zhai et al. 2023, SigLIP).

    A pair is positive if both have the same label, else negative. A sample of weight 0 is excluded,
    also from the pairs of other samples.
    """

    requires: ClassVar[Literal["targets", "classifier"]] = "targets"
    sigmoid: ClassVar[bool] = True

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss, a scalar, of unit features and targets (B, D); 0 if all weights are 0.

        The loss of a pair is -log sigmoid(±(logit_scale * cosine + bias)). An image's loss is the
        mean of two sums: over its pairs as an image, and over its pairs as a target. Raises
        `LatteError` if there are no targets, or if the model has no bias.
        """
        stream, targets, bias = supervision.stream, supervision.targets, supervision.logit_bias
        if targets is None or bias is None:
            missing = "the prototypes give none" if targets is None else "the backbone has no bias"
            raise LatteError(
                "the loss `sigmoid` needs a target for each image and the logit bias of a sigmoid "
                f"model such as SigLIP: {missing}",
                hint="loss: contrastive" if bias is None else "prototypes: momentum",
            )
        counts = stream.weights > 0
        alike = stream.labels.unsqueeze(0) == stream.labels.unsqueeze(1)
        logits = logit_scale * image_features @ targets.T + bias
        losses = -logsigmoid(torch.where(alike, logits, -logits))
        losses = losses.masked_fill(~(counts.unsqueeze(0) & counts.unsqueeze(1)), 0.0)
        return weighted_mean((losses.sum(dim=0) + losses.sum(dim=1)) / 2, stream.weights)
