"""One training step on features, composed as in the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces import (
    Batch,
    LabelStream,
    Loss,
    PrototypeAggregator,
    PseudoLabeler,
    Supervision,
    TrainingStart,
)
from tests.helpers.describe_doubles import context

CONTEXT = context()


def unit_rows(rows: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator, dtype=dtype), dim=1)


def stream(labels: Sequence[int], weights: Sequence[float] | None = None) -> LabelStream:
    image_weights = [1.0] * len(labels) if weights is None else list(weights)
    return LabelStream(
        "stream", torch.tensor(labels), torch.tensor(image_weights, dtype=torch.float64)
    )


def training_start(
    class_features: Tensor,
    image_features: Tensor | None = None,
    zero_shot_labels: Tensor | None = None,
    descriptions: Mapping[str, Tensor] | None = None,
) -> TrainingStart:
    images = class_features if image_features is None else image_features
    labels = (
        (images @ class_features.T).argmax(dim=1) if zero_shot_labels is None else zero_shot_labels
    )
    return TrainingStart(
        class_names=tuple(f"class {index}" for index in range(len(class_features))),
        class_features=class_features,
        image_features=images,
        zero_shot_labels=labels,
        description_features=lambda name: dict(descriptions or {})[name],
    )


def relative_error(computed: Tensor, expected: Tensor) -> float:
    """Return the largest difference between two tensors, relative to the largest expected entry.

    Logits go up to 100, so rounding errors are proportional to the largest. If all entries are
    below 0.01, differences are relative to 0.01: such gradients remain after larger numbers cancel.
    """
    assert computed.shape == expected.shape
    difference = (computed.double() - expected.double()).abs().amax()
    return float(difference / expected.double().abs().amax().clamp_min(0.01))


@dataclass(frozen=True)
class Step:
    loss: Tensor
    supervisions: list[Supervision]


def take_step(
    labelers: Sequence[PseudoLabeler[Any]],
    aggregator: PrototypeAggregator[Any],
    loss: Loss[Any],
    batch: Batch,
    images: Tensor,
    class_texts: Tensor | None,
    sample_texts: Mapping[str, Tensor],
    logit_scale: float = 100.0,
) -> Step:
    """Take a step; images (B, D), class texts (C, D) and other texts (B, D) are not normalised."""
    features = normalize(images, dim=1)
    seen = features.detach()
    class_rows = None if class_texts is None else normalize(class_texts, dim=1)
    if aggregator.class_features_refresh == "step" and class_rows is not None:
        aggregator.refresh_class_features(class_rows)
    fixed_texts = {name: normalize(rows, dim=1) for name, rows in sample_texts.items()}
    scale = images.new_tensor(logit_scale)

    total = images.new_zeros(())
    supervisions = []
    for labeler in labelers:
        for opinion in labeler.assign(batch, seen, aggregator):
            texts = dict(fixed_texts)
            if class_rows is not None:
                texts["class"] = class_rows[opinion.labels]
            supervision = aggregator.supervise(opinion, texts, seen)
            supervisions.append(supervision)
            total = total + opinion.scale * loss(features, supervision, scale)
    if total.requires_grad:
        torch.autograd.backward(total)
    aggregator.update(supervisions)
    return Step(total.detach(), supervisions)
