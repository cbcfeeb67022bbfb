"""Losses between images and targets: `contrastive` of CLIP, and `sigmoid` of SigLIP."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latte.api import LabelStream, LatteError, Loss, NoOptions, Supervision
from latte.components.options import ContrastiveOptions


class ContrastiveLoss(Loss[ContrastiveOptions]):
    """Mean of the image-to-target and the target-to-image cross-entropy, weighted by sample.

    A sample of weight 0 is excluded; it is not a negative of other samples either. The option
    `positives` says how two samples with the same label are treated. `diagonal`: as negatives of
    each other, as in CLIP, FLYP and LatteCLIP. `multi`: as positives of each other; all positives
    of a sample have equal target probabilities. `ignore`: neither as positives nor as negatives.
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
        fixed = self.options.logit_scale
        scale = logit_scale if fixed is None else fixed
        positives, excluded = self._pairs(supervision.stream)
        logits = (scale * image_features @ supervision.targets.T).masked_fill(excluded, -torch.inf)
        by_image = _cross_entropies(logits, positives)
        by_target = _cross_entropies(logits.T, positives)
        return weighted_mean((by_image + by_target) / 2, supervision.stream.weights)

    def _pairs(self, stream: LabelStream) -> tuple[Tensor, Tensor]:
        """Return masks (B, B) of the positive and of the excluded pairs, both symmetric.

        An excluded sample keeps the pair with itself, so that its cross-entropy is 0.
        """
        removed = stream.weights == 0
        excluded = removed.unsqueeze(0) | removed.unsqueeze(1)
        own = torch.eye(len(removed), dtype=torch.bool, device=removed.device)
        positives = own
        if self.options.positives != "diagonal":
            alike = stream.labels.unsqueeze(0) == stream.labels.unsqueeze(1)
            if self.options.positives == "multi":
                positives = own | (alike & ~excluded)
            else:
                excluded = excluded | alike
        return positives, excluded & ~own


def _cross_entropies(logits: Tensor, positives: Tensor) -> Tensor:
    """Return the cross-entropy (B,) of each row of `logits` (B, B).

    The target distribution of a row is uniform over the columns that `positives` (B, B) marks.
    """
    of_positives = logits.log_softmax(dim=1).masked_fill(~positives, 0.0)
    return -of_positives.sum(dim=1) / positives.sum(dim=1)


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
