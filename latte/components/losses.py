"""Loss `sigmoid` of SigLIP, between images and targets."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latte.api import LatteError, Loss, NoOptions, Supervision


class SigmoidLoss(Loss[NoOptions]):
    """Logistic loss of each pair of an image and a target (Zhai et al. 2023, SigLIP).

    A pair is positive if both have the same label, else negative. A sample of weight 0 is excluded,
    including from the pairs of other samples.
    """

    sigmoid: ClassVar[bool] = True

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss, a scalar, of unit features and targets (B, D); 0 if all weights are 0.

        The loss of a pair is -log sigmoid(±(logit_scale * cosine + bias)), with + for a positive
        pair. A sample's loss is the mean of two sums: over the pairs with its image, and over the
        pairs with its target. Raises `LatteError` if there are no targets, or if the model has no
        bias.
        """
        stream, targets = supervision.stream, supervision.need_targets()
        bias = supervision.logit_bias
        if bias is None:
            raise LatteError(
                "the loss `sigmoid` needs the logit bias of a sigmoid model such as SigLIP, and "
                "the backbone has no bias",
                hint="loss: contrastive",
            )
        has_weight = stream.weights > 0
        is_positive_pair = stream.labels.unsqueeze(0) == stream.labels.unsqueeze(1)
        logits = logit_scale * image_features @ targets.T + bias
        losses = -logsigmoid(torch.where(is_positive_pair, logits, -logits))
        losses = losses.masked_fill(~(has_weight.unsqueeze(0) & has_weight.unsqueeze(1)), 0.0)
        losses = (losses.sum(dim=0) + losses.sum(dim=1)) / 2
        weights = stream.weights.to(losses.dtype)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).tiny)
