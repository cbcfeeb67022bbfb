"""How sure the frozen CLIP is of its own labels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from latte.interfaces import Classifier
from latte.report.diagnosis.measure import Measure, Measurement

ROWS_A_BLOCK = 8192
"""Images whose (rows, C) similarities are held at once."""

CONFIDENCE = Measure(
    "confidence",
    "confidence",
    "share",
    "mean probability of the top class; high: sure, which is not the same as right",
    "Hendrycks and Gimpel (2017), ICLR: maximum softmax probability",
)
MARGIN = Measure(
    "margin",
    "margin",
    "cosine",
    "mean cosine of the nearest class minus that of the second; low: small shifts change labels",
)


@dataclass(frozen=True)
class Confidence:
    """What a classifier says about each of N images."""

    labels: Tensor
    """(N,) int64: the nearest class."""
    confidence: Tensor
    """(N,): its probability, by softmax of logit scale times cosine."""
    margin: Tensor
    """(N,): cosine of the nearest class minus that of the second; 0 with a single class."""


def confidence(features: Tensor, classifier: Classifier, logit_scale: float) -> Confidence:
    """Look at N > 0 unit features (N, D), a block at a time."""
    blocks = [
        _of_block(classifier.similarities(block), logit_scale)
        for block in torch.split(features, ROWS_A_BLOCK)
    ]
    columns = {
        field.name: torch.cat([getattr(block, field.name) for block in blocks])
        for field in fields(Confidence)
    }
    return Confidence(**columns)


def sureness_measures(seen: Confidence) -> list[Measurement]:
    """Means over the images."""
    return [
        Measurement(measure, float(values.double().mean()))
        for measure, values in (
            (CONFIDENCE, seen.confidence),
            (MARGIN, seen.margin),
        )
    ]


def _of_block(similarities: Tensor, logit_scale: float) -> Confidence:
    best = similarities.topk(min(2, similarities.shape[1]), dim=1).values
    return Confidence(
        labels=similarities.argmax(dim=1),
        confidence=(similarities.float() * logit_scale).softmax(dim=1).amax(dim=1),
        margin=best[:, 0] - best[:, -1],
    )
