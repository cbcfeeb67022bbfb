"""Image-only encoders beside the CLIP: their weights, and their classifiers in the model.

`encoder_weights` of latte.api says how far an encoder sees the same classes as the CLIP. An encoder
that does not has the weight 0. All weights are less if the classes have unequal numbers of images,
where a Gaussian without a text can lose its class.

The constants were chosen on four labelled sets and judged on three others (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latte.api import Classifier, encoder_weights, joined_features
from latte_transductive.assigned import evenness_of
from latte_transductive.spaces import EncoderSpace, WeightedEncoders

_MOST_WEIGHT = 0.7
"""Weight of an encoder that sees the classes as well as the CLIP, if all classes are equal."""
_LEAST_WEIGHT = 0.1
"""An encoder with a smaller weight is left out: it would change few labels, but `predict` would
have to encode every image twice."""


def weighted_encoders(
    images: Tensor, labels: Tensor, classes: int, encoder_features: Mapping[str, Tensor]
) -> WeightedEncoders | None:
    """Return the encoders with a weight above 0, or None if there are none.

    Args:
        images: (N, D): the CLIP's unit features of the images.
        labels: (N,): labels of the images from the CLIP alone, with a person's answers, if any.
        classes: Number of classes.
        encoder_features: (N, E): unit features of each encoder, by its name.
    """
    if not encoder_features:
        return None
    most = _MOST_WEIGHT * evenness_of(labels.bincount(minlength=classes).double()) ** 2
    weights = encoder_weights(images, labels, encoder_features)
    weights = {
        name: most * weight for name, weight in weights.items() if most * weight >= _LEAST_WEIGHT
    }
    if not weights:
        return None
    used = {name: encoder_features[name] for name in weights}
    return WeightedEncoders(
        tuple(EncoderSpace.of(name, features) for name, features in used.items()),
        tuple(weights.values()),
        joined_features(images, used, weights),
    )


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
