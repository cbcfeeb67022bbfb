"""Label streams with several candidate classes per image, and a loss that uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from latte.api import LabelStream, LatteError, Loss, NoOptions, Supervision
import os
MODE = os.environ.get("PL_MODE", "weighted")

@dataclass(frozen=True)
class CandidateStream(LabelStream):
    """Label stream that also has the most probable classes of each image; `labels` are the first.

    Losses and prototypes that do not know candidates use `labels`.
    """

    candidates: Tensor = field(kw_only=True)
    """(B, K) int64 classes, the most probable first."""
    probabilities: Tensor = field(kw_only=True)
    """(B, K): probabilities of `candidates`."""


class PartialLabelLoss(Loss[NoOptions]):
    """Cross-entropy with the candidate classes of each image instead of one pseudo-label."""

    requires: ClassVar[Literal["targets", "classifier"]] = "classifier"

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        if supervision.classifier is None:
            raise LatteError(
                "the loss `partial-labels` needs a classifier, and these prototypes give none",
                hint="use prototypes that do, such as `templates` or `from-labeler`",
            )
        stream = supervision.stream
        logits = logit_scale * supervision.classifier.similarities(image_features)
        log = logits.log_softmax(dim=1)
        if isinstance(stream, CandidateStream) and MODE != "hard":
            of = log.gather(1, stream.candidates)
            p = stream.probabilities.to(of)
            p = p / p.sum(dim=1, keepdim=True)
            if MODE == "weighted":
                each = -(p * of).sum(dim=1)
            elif MODE == "logsum":
                each = -torch.logsumexp(of + p.clamp_min(1e-9).log(), dim=1)
            else:
                before = p.cumsum(dim=1) - p
                keep = before < float(MODE)
                each = -torch.logsumexp(of.masked_fill(~keep, -torch.inf), dim=1)
        else:
            each = -log.gather(1, stream.labels[:, None])[:, 0]
        weights = stream.weights.to(each.dtype)
        return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
