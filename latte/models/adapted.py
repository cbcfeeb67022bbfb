"""Models and prototypes of a run: average their similarities, and mix them with zero-shot CLIP."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from latte.backbone.precision import Arithmetic, encoding_in
from latte.evaluate.similarities import (
    Similarities,
    mean_none_similarities,
    mean_similarities,
)
from latte.interfaces import Backbone, Classifier, Encoder


@dataclass(frozen=True)
class Member:
    """Model and prototypes of one learner, an adapted copy of CLIP; or an encoder with its own."""

    name: str
    encoder: Encoder
    """The learner's `Backbone`, or an image-only encoder."""
    classifier: Classifier
    """The prototypes, on the CPU."""
    arithmetic: Arithmetic = "fp32"
    """Number format, such as bf16, in which a GPU encodes images; see `encoding_in`."""
    component: str | None = None
    """Full name of the component that loads an encoder; None for a learner."""
    code: str | None = None
    """Digest of the plugin's code, if it may change without a new version; see `plugin_code`."""

    def encoding(self) -> AbstractContextManager[Any]:
        """Return a context manager for encoding without gradient, in the precision `arithmetic`."""
        return encoding_in(self.arithmetic, self.encoder.device)


@dataclass(frozen=True)
class Adapted:
    """Classifier of a run: averages the similarities of its members (ReCLIP, section 3.4)."""

    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    """The learners, at least one, then the encoders that the classifier uses."""

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """The learners' CLIPs."""
        learners = (member for member in self.members if member.component is None)
        return tuple(cast("Backbone", learner.encoder) for learner in learners)

    @property
    def encoder_names(self) -> list[str]:
        """Names of the encoders that the classifier uses."""
        return [member.name for member in self.members if member.component is not None]

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return [member.name for member in self.members]

    @property
    def logit_scale(self) -> float:
        """Factor that turns similarities into logits: the mean of the learners' logit scales."""
        scales = [float(backbone.logit_scale.detach()) for backbone in self.backbones]
        return sum(scales) / len(scales)

    @cached_property
    def logit_bias(self) -> float | None:
        """Mean logit bias of sigmoid models.

        None if a model has no bias, if there is an encoder, or if similarities are not cosines.
        """
        if len(self.backbones) < len(self.members):
            return None
        biases = [backbone.logit_bias for backbone in self.backbones]
        bias_values = [float(bias.detach()) for bias in biases if bias is not None]
        cosines = all(
            classifier.bias is None
            and torch.allclose(classifier.weights.norm(dim=1), torch.ones(()), atol=1e-3)
            for classifier in (member.classifier for member in self.members)
        )
        return (
            sum(bias_values) / len(bias_values)
            if len(bias_values) == len(biases) and cosines
            else None
        )

    def matches(self, similarities: Tensor) -> Tensor | None:
        """Return the probability (B, C) that a class fits an image; None without `logit_bias`."""
        bias = self.logit_bias
        return None if bias is None else (self.logit_scale * similarities + bias).sigmoid()

    def similarities(self, features: Sequence[Tensor]) -> Tensor:
        """Return the members' mean similarities (B, C), from each member's features (B, D)."""
        return mean_similarities([member.classifier for member in self.members], features)

    @property
    def knows_none(self) -> bool:
        """True if answers "none of these" taught the model, so that new images may be called so."""
        return all(member.classifier.none is not None for member in self.members)

    def none_similarities(self, features: Sequence[Tensor]) -> Tensor | None:
        """Return the mean similarities (B,) to "none of these"; None unless `knows_none`."""
        return mean_none_similarities([member.classifier for member in self.members], features)

    def in_blocks(self, features: Sequence[Tensor]) -> Similarities:
        """Return the similarities of all images, computed in blocks when they are used.

        `features` are the features (N, D) of each member.
        """
        return Similarities(
            len(features[0]),
            len(self.class_names),
            lambda rows: self.similarities([member_features[rows] for member_features in features]),
        )


def mixed_model(zero_shot: Adapted, adapted: Adapted, strength: float) -> Adapted:
    """Return the model (1 - s) zero-shot + s adapted, with s = `strength` between 0 and 1.

    CLIP must not be trained. Both models then have the logit scale of the frozen CLIP, so mixing
    similarities also mixes logits.
    """
    texts = zero_shot.members[0].classifier.weights
    classifiers = {member.name: member.classifier for member in adapted.members}
    mixed = mixed_classifiers(texts, classifiers, adapted.encoder_names, strength)
    members = (replace(member, classifier=mixed[member.name]) for member in adapted.members)
    return Adapted(adapted.class_names, tuple(members))


def mixed_classifiers(
    texts: Tensor, adapted: Mapping[str, Classifier], encoders: Collection[str], strength: float
) -> dict[str, Classifier]:
    """Mix the zero-shot classifier `texts` (C, D) with the classifiers of an adapted model.

    `encoders` are the members that are no learners, so they have no texts. The model averages the
    similarities of all members. So the texts of the learners grow by the number of members per
    learner: the mix is then (1 - strength) zero-shot + strength adapted.
    """
    share = len(adapted) / (len(adapted) - len(encoders))
    return {
        name: replace(classifier.scaled(strength), none=None)
        if name in encoders
        else mixed_classifier(texts, classifier, strength, share)
        for name, classifier in adapted.items()
    }


def mixed_classifier(
    texts: Tensor, adapted: Classifier, strength: float, share: float = 1.0
) -> Classifier:
    """Mix the zero-shot classifier `texts` (C, D) with the classifier `adapted`.

    With s = `strength`, a prototype w of a class with the text feature t becomes
    (1 - s) share t + s w, and its bias b becomes s b. The mix does not know "none of these", which
    has no text.
    """
    scaled = adapted.scaled(strength)
    weights = (1 - strength) * share * texts[adapted.owners].to(adapted.weights) + scaled.weights
    return Classifier(weights, scaled.owners, scaled.bias)
