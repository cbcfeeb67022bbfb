"""Groups of images that may show the same class, so that one answer labels a whole group.

The answers become training labels. Groups of one kind have no image in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latte.results.finished import FinishedRun
from latte.results.stored import open_tensors, same_count
from latte.review.population import ReviewImage, draw

LARGEST = 24
"""Largest number of images of a group, except a cluster: each has a key of the keyboard."""
_TYPICAL, _DOUBTFUL = 9, 3
"""Numbers of a cluster's most confident and least confident images in a question."""
_OPTIONS = 5
"""Largest number of classes that a question offers as answers."""
_SAME = 0.95
"""Cosine similarity from which two images count as near-duplicates."""
_BLOCK = 256


@dataclass(frozen=True)
class Question:
    """A question about one image, or about a group of images that may show the same class."""

    images: tuple[ReviewImage, ...]
    options: tuple[int, ...]
    """Class labels to choose from, in an order that does not show which model gave which label."""
    examples: tuple[ReviewImage | None, ...] = ()
    """For each label in `options`, an image that probably shows the class; empty without
    examples."""


@dataclass(frozen=True)
class Features:
    """Unit features of training images and class texts, from the frozen CLIP."""

    images: NDArray[np.float32]
    """(N, D): the training images, in the order of the run."""
    classes: NDArray[np.float32]
    """(C, D): the class texts."""


def read_features(run: FinishedRun) -> Features:
    """Read the features that the run stored. Raises `LatteError` if they are missing or damaged."""
    path = run.folder.zero_shot
    with open_tensors(path, framework="np") as file:
        found = Features(file.get_tensor("training"), file.get_tensor("class_features"))
    same_count(path, "training images", [len(run.training_keys), len(found.images)])
    same_count(path, "classes", [len(run.class_names), len(found.classes)])
    return found


def clusters(images: Iterable[ReviewImage]) -> tuple[Question, ...]:
    """Return one group per class that the adapted model predicts, the largest group first."""
    found = _by_class(images)
    return tuple(
        Question(tuple(found[label]), _likely(found[label], label))
        for label in sorted(found, key=lambda label: (-len(found[label]), label))
    )


def sheet(images: Sequence[ReviewImage]) -> tuple[ReviewImage, ...]:
    """Return the 9 most and the 3 least confident of `images`, which are sorted by confidence."""
    rest = images[_TYPICAL:]
    return (*images[:_TYPICAL], *rest[max(0, len(rest) - _DOUBTFUL) :])


def confident(images: Iterable[ReviewImage]) -> tuple[Question, ...]:
    """Return groups of images with the same predicted class, the most confident groups first."""
    batches = [
        (at, Question(batch, (label,)))
        for label, several in _by_class(images).items()
        for at, batch in enumerate(_batches(several))
    ]
    batches.sort(key=lambda one: (one[0], -len(one[1].images)))
    return tuple(group for _, group in batches)


def confused(images: Iterable[ReviewImage]) -> tuple[Question, ...]:
    """Return groups of images on which the models disagree between the same two classes.

    Frequent pairs of classes come first.
    """
    by_class = _by_class(images)
    best = {label: several[0] for label, several in by_class.items()}
    found: dict[tuple[int, int], list[ReviewImage]] = {}
    for one in (one for label in sorted(by_class) for one in by_class[label] if one.disagrees):
        low, high = sorted((one.zero_shot, one.adapted))
        found.setdefault((low, high), []).append(one)
    return tuple(
        Question(batch, pair, tuple(best.get(label) for label in pair))
        for pair in sorted(found, key=lambda pair: -len(found[pair]))
        for batch in _batches(found[pair])
    )


def near_duplicates(images: Iterable[ReviewImage], features: Features) -> tuple[Question, ...]:
    """Return groups of at least two images that look almost the same, the largest first."""
    ranked = sorted(images, key=lambda one: -one.confidence)
    rows = features.images[[one.row for one in ranked]]
    free, found = np.ones(len(ranked), dtype=bool), []
    for start in range(0, len(ranked), _BLOCK):
        near = rows[start : start + _BLOCK] @ rows.T >= _SAME
        for at, mask in enumerate(near, start):
            if free[at] and (members := np.flatnonzero(mask & free)).size > 1:
                free[members] = False
                found.append([ranked[member] for member in members])
    return tuple(
        Question(batch, _likely(batch, batch[0].adapted))
        for several in sorted(found, key=len, reverse=True)
        for batch in _batches(several)
    )


def unsupported(
    images: Sequence[ReviewImage], predicted: set[int], features: Features
) -> tuple[Question, ...]:
    """Return, for each class that is not in `predicted`, a group of images that may show it."""
    missing = [label for label in range(len(features.classes)) if label not in predicted]
    if not missing or not images:
        return ()
    fits = features.images[[one.row for one in images]] @ features.classes[missing].T
    # Some texts fit all images better than other texts do: compare with the fit to other images.
    fits = (fits - fits.mean(axis=0)) / np.maximum(fits.std(axis=0), 1e-6)
    nearest, fit = fits.argmax(axis=1), fits.max(axis=1)
    found = []
    for at, label in enumerate(missing):
        ranked = sorted(np.flatnonzero(nearest == at).tolist(), key=lambda row: -fit[row])[:LARGEST]
        if ranked:
            found.append((fit[ranked[0]], Question(tuple(images[row] for row in ranked), (label,))))
    return tuple(group for _, group in sorted(found, key=lambda one: -one[0]))


def least_fitting(images: Iterable[ReviewImage], features: Features) -> list[ReviewImage]:
    """Sort images by similarity to the mean of their predicted class, the least similar first."""
    found: list[tuple[float, ReviewImage]] = []
    for several in _by_class(images).values():
        rows = features.images[[one.row for one in several]]
        mean = rows.mean(axis=0)
        cosines = rows @ mean / max(float(np.linalg.norm(mean)), 1e-6)
        found += zip(cosines.tolist(), several, strict=True)
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _by_class(images: Iterable[ReviewImage]) -> dict[int, list[ReviewImage]]:
    """Return the images of each predicted class, the most confident first."""
    found: dict[int, list[ReviewImage]] = {}
    for one in sorted(images, key=lambda one: -one.confidence):
        found.setdefault(one.adapted, []).append(one)
    return found


def _batches(images: Sequence[ReviewImage]) -> Iterator[tuple[ReviewImage, ...]]:
    for start in range(0, len(images), LARGEST):
        yield tuple(images[start : start + LARGEST])


def _likely(images: Sequence[ReviewImage], first: int) -> tuple[int, ...]:
    """Return the class `first` and the commonest zero-shot classes, in a random but fixed order."""
    common = Counter(one.zero_shot for one in images)
    ranked = sorted(common, key=lambda label: (label != first, -common[label], label))
    likely = [*dict.fromkeys([first, *ranked])][:_OPTIONS]
    return tuple(sorted(likely, key=lambda label: draw(f"{images[0].key} {label}")))
