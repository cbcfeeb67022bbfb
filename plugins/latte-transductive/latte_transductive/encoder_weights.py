"""Weights of image-only encoders beside the CLIP, by evidence from the folder's own images.

An encoder helps if similar images in its space have the same class. Their classes are unknown, so
the labels of the mixture that knows the CLIP alone stand for them. These labels follow from the
CLIP's features, so neighbours in the CLIP's space agree best by construction. But an encoder whose
neighbours agree nearly as often sees the same classes in another way. An encoder without knowledge
of the classes agrees by chance, and is left out. Answers of a person make the labels better, and
therefore the weights too.

The limits were chosen on four labelled sets and judged on three others (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from latte.api import Classifier
from latte_transductive.neighbours import neighbours_of
from latte_transductive.spaces import EncoderSpace, WeightedEncoders

_LEAST_AGREEMENT = 0.5
"""Encoders whose neighbours agree less, relative to the CLIP's neighbours, have the weight 0."""
_MOST_WEIGHT = 0.75
"""Weight of an encoder whose neighbours agree as often as those in the CLIP's space."""
_NEIGHBOURS = 10


def weighted_encoders(
    images: Tensor, labels: Tensor, classes: int, spaces: Iterable[EncoderSpace]
) -> WeightedEncoders | None:
    """Return the encoders with a weight above 0, or None if there are none.

    The weight rises from 0, if neighbours of an encoder agree half as often beyond chance as those
    in the CLIP's space, to 0.75, if they agree as often.

    Args:
        images: (N, D): the CLIP's unit features of the images.
        labels: (N,): labels of the images, by the mixture that knows the CLIP alone.
        classes: Number of classes.
        spaces: The encoders.
    """
    weights = {space: _weight(images, labels, classes, space) for space in spaces}
    weights = {space: weight for space, weight in weights.items() if weight > 0}
    return WeightedEncoders.of(images, weights) if weights else None


def members(
    learners: Mapping[str, Classifier], encoder_rows: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, Classifier]:
    """Return the classifiers of learners and encoders whose mean similarities are the model's.

    The similarities of a learner are those of its classifier, plus the products of an encoder's
    features and `encoder_rows[learner][encoder]` (C, E). The model without encoders averages the
    similarities of the learners. With encoders, it averages those of learners and encoders, so
    all rows and biases are multiplied to give the same mean.
    """
    encoders = {name: None for rows in encoder_rows.values() for name in rows}
    if not encoders:
        return dict(learners)
    count = len(learners) + len(encoders)
    classifiers = {
        name: _times(classifier, count / len(learners)) for name, classifier in learners.items()
    }
    owners = next(iter(learners.values())).owners
    for name in encoders:
        parts = [rows[name] for rows in encoder_rows.values() if name in rows]
        total = torch.stack(parts).sum(dim=0)
        classifiers[name] = Classifier(total * (count / len(learners)), owners)
    return classifiers


def _times(classifier: Classifier, factor: float) -> Classifier:
    bias = None if classifier.bias is None else factor * classifier.bias
    return Classifier(factor * classifier.weights, classifier.owners, bias)


def _weight(images: Tensor, labels: Tensor, classes: int, space: EncoderSpace) -> float:
    agreements = [
        neighbours.agreement(labels, classes)
        for features in (images, space.directions)
        if (neighbours := neighbours_of(features, _NEIGHBOURS)) is not None
    ]
    if len(agreements) < 2 or agreements[0] == 0:
        return 0.0
    relative = min(1.0, agreements[1] / agreements[0])
    return _MOST_WEIGHT * max(0.0, (relative - _LEAST_AGREEMENT) / (1 - _LEAST_AGREEMENT))
