"""Accuracy of the zero-shot and the adapted classifier on the same labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.evaluate.metrics import evaluate_ranks, label_ranks
from latte.evaluate.similarities import Similarities
from latte.interfaces import OWN_IMAGES, Evaluation
from latte.run.images import Images
from latte.run.posterior import OwnImages
from latte.run.zero_shot import ZeroShot


@dataclass(frozen=True)
class Measured:
    """A classifier's similarities (M, C) for the M evaluation images, and its posterior."""

    similarities: Similarities
    own: OwnImages | None
    """The posterior of the training images; None if the classifier has no posterior."""


def compare(
    images: Images, zero_shot: ZeroShot, adapted: Measured, candidate: Measured | None = None
) -> list[Evaluation]:
    """Measure zero-shot, the adapted classifier and the `candidate`, if given, on the same images.

    Test images that are also training images can have a posterior. If some test images have one,
    the posterior is measured on them, and the classifiers on the other test images. If all of them
    have one, the classifiers are also measured on all, as if the images were new. If a `candidate`
    is given, only it can have a posterior, and all classifiers are measured on all test images.
    """
    labels, classes = torch.tensor(images.labels), len(images.class_names)
    texts, features = zero_shot.classifier, zero_shot.evaluation
    before = Similarities(len(features), classes, lambda rows: texts.similarities(features[rows]))
    found = {"zero-shot": before, "adapted": adapted.similarities}
    if candidate is not None:
        found["candidate"] = candidate.similarities
    ranks = {name: label_ranks(name, one, labels) for name, one in found.items()}
    measured, _ = split_rows(adapted.own, images.evaluation.keys)
    groups = [("", measured, {name: one[measured] for name, one in ranks.items()})]
    last, own = [*ranks][-1], (candidate or adapted).own
    _, answered = split_rows(own, images.evaluation.keys)
    if own is not None and len(answered):
        places = torch.tensor([row for row in own.rows(images.evaluation.keys) if row is not None])
        by_posterior = own.ranks(places, labels[answered], classes)
        both = {"zero-shot": ranks["zero-shot"][answered], last: by_posterior}
        groups.append((OWN_IMAGES, answered, both))
    return [
        evaluate_ranks(
            f"{name}{suffix}",
            one,
            labels[rows],
            classes,
            None if name == "zero-shot" else of["zero-shot"] == 0,
        )
        for suffix, rows, of in groups
        for name, one in of.items()
    ]


def split_rows(own: OwnImages | None, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return row indices of test images: those for the classifier, and those with a posterior.

    `keys` are the content keys of all test images, and `own` has the posterior. If all test images
    have a posterior, the classifier is measured on all of them too.
    """
    known = [False] * len(keys) if own is None else [row is not None for row in own.rows(keys)]
    answered = torch.tensor(known, dtype=torch.bool)
    measured = ~answered if not bool(answered.all()) else torch.ones_like(answered)
    return measured.nonzero().flatten(), answered.nonzero().flatten()
