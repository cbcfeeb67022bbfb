"""LatteCLIP's training step on features, sample by sample and class by class.

It was written from the description of the method and shares no code with latte. It is slow, as each
line is one sentence of the method. Vectors are tensors only for autograd; all else is plain Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ReferenceStep:
    loss: Tensor
    prototypes: list[Tensor]
    current_labels: list[int]


def unit(vector: Tensor) -> Tensor:
    return vector / torch.sqrt((vector * vector).sum())


def cosine(left: Tensor, right: Tensor) -> float:
    return float((left.detach() * right.detach()).sum())


def nearest_class(feature: Tensor, prototypes: Sequence[Tensor]) -> int:
    best = 0
    for candidate in range(1, len(prototypes)):
        if cosine(feature, prototypes[candidate]) > cosine(feature, prototypes[best]):
            best = candidate
    return best


def margin(text: Tensor, prototypes: Sequence[Tensor]) -> float:
    if len(prototypes) == 1:
        return 1.0
    ranked = sorted((cosine(text, prototype) for prototype in prototypes), reverse=True)
    return ranked[0] - ranked[1] + 1e-6


def mixed(texts: Sequence[Tensor], margin_prototypes: Sequence[Tensor]) -> Tensor:
    weights = [margin(text, margin_prototypes) for text in texts]
    total = torch.zeros_like(texts[0])
    for text, weight in zip(texts, weights, strict=True):
        total = total + weight * text
    return total / sum(weights)


def cross_entropy(logits: Sequence[Tensor], right: int) -> Tensor:
    highest = max(float(logit.detach()) for logit in logits)
    exponentials = logits[0] * 0
    for logit in logits:
        exponentials = exponentials + torch.exp(logit - highest)
    return torch.log(exponentials) + highest - logits[right]


def contrast(features: Sequence[Tensor], targets: Sequence[Tensor], scale: float) -> Tensor:
    count = len(features)
    logit = [[scale * (feature * target).sum() for target in targets] for feature in features]
    total = features[0].sum() * 0
    for i in range(count):
        total = total + cross_entropy(logit[i], i) / (2 * count)
        total = total + cross_entropy([logit[j][i] for j in range(count)], i) / (2 * count)
    return total


def latteclip_step(
    images: Tensor,
    class_texts: Tensor | None,
    sample_texts: Mapping[str, Tensor],
    zero_shot_labels: Sequence[int],
    prototypes: Sequence[Tensor],
    margin_prototypes: Sequence[Tensor],
    *,
    alpha: float = 0.01,
    scale: float = 100.0,
    frozen_weight: float = 1.0,
    current_weight: float = 1.0,
) -> ReferenceStep:
    """Features (B, D), (C, D) and (B, D) as before normalisation; prototypes are C unit vectors."""
    features = [unit(image) for image in images]
    current_labels = [nearest_class(feature, prototypes) for feature in features]
    streams = [(list(zero_shot_labels), frozen_weight), (current_labels, current_weight)]

    loss = images.sum() * 0
    moved: list[list[Tensor]] = [[] for _ in prototypes]
    for labels, weight in streams:
        if weight == 0:
            continue
        targets = []
        for i, label in enumerate(labels):
            texts = [unit(rows[i]) for rows in sample_texts.values()]
            if class_texts is not None:
                texts.append(unit(class_texts[label]))
            prototype_of_label = prototypes[label]
            mix = mixed(texts, margin_prototypes) if texts else prototype_of_label
            targets.append((1 - alpha) * prototype_of_label + alpha * mix)
            moved[label].append(targets[-1].detach())
        loss = loss + weight * contrast(features, targets, scale)

    updated = []
    for prototype, members in zip(prototypes, moved, strict=True):
        if not members:
            updated.append(prototype)
            continue
        mean = torch.zeros_like(prototype)
        for member in members:
            mean = mean + member / len(members)
        updated.append(unit(mean))
    return ReferenceStep(loss, updated, current_labels)
