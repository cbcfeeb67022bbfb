"""Label-free score that ranks models by zero-shot accuracy on the same images."""

from __future__ import annotations

from torch import Tensor

from latte.toolkit.neighbours import nearest_neighbours

_NEIGHBOURS = 10


def model_score(image_features: Tensor, class_features: Tensor) -> float:
    """Return how often neighbouring images get the same class, beyond chance."""
    labels = (image_features @ class_features.T).argmax(dim=1)
    _, indices = nearest_neighbours(image_features, min(_NEIGHBOURS, len(image_features) - 1))
    shares = labels.bincount(minlength=len(class_features)).double() / len(labels)
    chance = float(shares @ shares)
    same = float((labels[indices] == labels.unsqueeze(1)).double().mean())
    return (same - chance) / (1 - chance) if chance < 1 else 0.0
