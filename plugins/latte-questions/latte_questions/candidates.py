"""The loss `partial-labels`, which uses several candidate classes of each image."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from latte.api import LabelStream, Loss, Options, Supervision
from latte_questions.options import Share


class PartialLabelOptions(Options):
    """Options of the loss `partial-labels`."""

    share: Share = Field(
        default=0.9,
        description="probability that the candidate classes of an image together reach; 0: only "
        "the most probable class",
    )


class PartialLabelLoss(Loss[PartialLabelOptions]):
    """Negative logarithm of the summed probability of an image's candidate classes.

    The candidates are the most probable classes that together reach the probability `share`, as in
    CPL's selection per image (Zhang et al., ICML 2024). The loss is the classifier-consistent
    loss of Feng et al. (NeurIPS 2020). With one candidate, it is the cross-entropy. If a label
    stream has no soft labels, the label is the only candidate.
    """

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss of unit features (B, D), a scalar; 0 if all weights are 0.

        Raises `LatteError` if the prototypes give no classifier.
        """
        logits = logit_scale * supervision.need_classifier().similarities(image_features)
        classes, excluded = self._candidates(supervision.stream)
        log = logits.log_softmax(dim=1).gather(1, classes).masked_fill(excluded, -torch.inf)
        weights = supervision.stream.weights.to(log.dtype)
        total = weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        return -(log.logsumexp(dim=1) * weights).sum() / total

    def _candidates(self, stream: LabelStream) -> tuple[Tensor, Tensor]:
        """Return classes (B, K), and a mask (B, K) that is True for classes to leave out."""
        if stream.posterior is None:
            classes = stream.labels.unsqueeze(1)
            return classes, torch.zeros_like(classes, dtype=torch.bool)
        probabilities = stream.posterior.probabilities
        excluded = probabilities.cumsum(dim=1) - probabilities >= self.options.share
        excluded[:, 0] = False
        return stream.posterior.labels, excluded
