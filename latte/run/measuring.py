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
    """A classifier's answers about the M evaluation images."""

    similarities: Similarities
    """(M, C)"""
    own: OwnImages | None
    """The posterior that belongs to the classifier; None where it has none."""


def compare(
    images: Images, zero_shot: ZeroShot, adapted: Measured, candidate: Measured | None = None
) -> list[Evaluation]:
    """Measure zero-shot, adapted classifier and `candidate` on the same labelled images.

    Where a posterior answers some images, these are measured separately, and the classifier on the
    others. Where it answers all, the classifier is measured on all, as if they were new images. A
    run with a separate `candidate` has no posterior; its classifiers are measured on all images.
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
    """Return rows of test images for the classifier, and rows of those that `own` contains.

    `keys` are the content keys of all test images. If `own` contains all of them, the classifier is
    measured on all of them too.
    """
    known = [False] * len(keys) if own is None else [row is not None for row in own.rows(keys)]
    answered = torch.tensor(known, dtype=torch.bool)
    measured = ~answered if not bool(answered.all()) else torch.ones_like(answered)
    return measured.nonzero().flatten(), answered.nonzero().flatten()
