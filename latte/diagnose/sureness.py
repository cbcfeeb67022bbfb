"""How sure the frozen CLIP is of its own labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from latte.diagnose.measure import Measure, Measurement
from latte.interfaces import Classifier

ROWS_A_BLOCK = 8192
"""Images whose (rows, C) similarities are held at once."""

CONFIDENCE = Measure(
    "confidence",
    "confidence",
    "share",
    "mean probability of the top class; high: sure, which is not the same as right",
    "Hendrycks and Gimpel (2017), ICLR: maximum softmax probability",
)
ENTROPY = Measure(
    "entropy",
    "entropy",
    "index",
    "mean entropy of an image's class probabilities over log C; 0: sure of one class, 1: undecided "
    "among all",
)
MARGIN = Measure(
    "margin",
    "margin",
    "cosine",
    "mean cosine of the nearest class minus that of the second; low: small shifts change labels",
)
LEAD = Measure(
    "lead",
    "lead over chance",
    "index",
    "how far the best class leads the second; 1: as among unrelated classes, so that texts tell "
    "nothing of these images",
)


@dataclass(frozen=True)
class Sureness:
    """What a classifier says about each of N images."""

    labels: Tensor
    """(N,) int64: the nearest class."""
    confidence: Tensor
    """(N,): its probability, by softmax of logit scale times cosine."""
    entropy: Tensor
    """(N,): entropy of the class probabilities over log C, in [0, 1]; 0 with a single class."""
    margin: Tensor
    """(N,): cosine of the nearest class minus that of the second; 0 with a single class."""


def sureness(features: Tensor, classifier: Classifier, logit_scale: float) -> Sureness:
    """Look at N > 0 unit features (N, D), a block at a time."""
    blocks = [
        _of_block(classifier.similarities(block), logit_scale)
        for block in torch.split(features, ROWS_A_BLOCK)
    ]
    columns = {
        field.name: torch.cat([getattr(block, field.name) for block in blocks])
        for field in fields(Sureness)
    }
    return Sureness(**columns)


def sureness_measures(seen: Sureness) -> list[Measurement]:
    """Means over the images."""
    return [
        Measurement(measure, float(values.double().mean()))
        for measure, values in (
            (CONFIDENCE, seen.confidence),
            (ENTROPY, seen.entropy),
            (MARGIN, seen.margin),
        )
    ]


def _of_block(similarities: Tensor, logit_scale: float) -> Sureness:
    classes = similarities.shape[1]
    log_shares = (similarities.float() * logit_scale).log_softmax(dim=1)
    entropy = -(log_shares.exp() * log_shares).sum(dim=1).clamp_max(0)
    best = similarities.topk(min(2, classes), dim=1).values
    return Sureness(
        labels=similarities.argmax(dim=1),
        confidence=log_shares.amax(dim=1).exp(),
        entropy=(entropy / math.log(max(2, classes))).clamp_max(1),
        margin=best[:, 0] - best[:, -1],
    )
