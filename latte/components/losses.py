"""Losses between images and targets: `contrastive` of CLIP, and `sigmoid` of SigLIP."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latte.api import LatteError, Loss, NoOptions, Supervision


class ContrastiveLoss(Loss[NoOptions]):
    """Mean of the image-to-target and the target-to-image cross-entropy, weighted by sample.

    The target of each other sample is a negative, even if both have the same label, as in CLIP,
    FLYP and LatteCLIP. A sample of weight 0 is excluded; it is not a negative of other samples
    either.
    """

    requires: ClassVar[Literal["targets", "classifier"]] = "targets"

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss, a scalar, of unit features and targets (B, D); 0 if all weights are 0.

        Raises `LatteError` if `supervision` has no targets.
        """
        if supervision.targets is None:
            raise LatteError(
                "the loss `contrastive` needs a target for each image, and these prototypes "
                "give none",
                hint="use prototypes that do, such as `momentum` or `templates`",
            )
        stream = supervision.stream
        logits = logit_scale * image_features @ supervision.targets.T
        logits = logits.masked_fill(_excluded(stream.weights), -torch.inf)
        by_image, by_target = (-each.log_softmax(dim=1).diagonal() for each in (logits, logits.T))
        return weighted_mean((by_image + by_target) / 2, stream.weights)


def _excluded(weights: Tensor) -> Tensor:
    """Return the mask (B, B) of the pairs with a sample of weight 0.

    Such a sample keeps the pair with itself, so that its cross-entropy is 0.
    """
    removed = weights == 0
    own = torch.eye(len(removed), dtype=torch.bool, device=removed.device)
    return (removed.unsqueeze(0) | removed.unsqueeze(1)) & ~own


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of `values` (B,), weighted by `weights` (B,); 0 if all weights are 0."""
    weights = weights.to(values.dtype)
    total = weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
    return (values * weights).sum() / total


class SigmoidLoss(Loss[NoOptions]):
    """Logistic loss of each pair of an image and a target (Zhai et al. 2023, SigLIP).

    A pair is positive if both have the same label, else negative. A sample of weight 0 is excluded,
    including from the pairs of other samples.
    """

    requires: ClassVar[Literal["targets", "classifier"]] = "targets"
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
