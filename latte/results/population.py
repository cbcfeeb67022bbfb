"""Images that a person is asked to label in a review, in random order.

The images are sorted by a random number per image, which is a hash of the image's content. The
order is therefore fixed before any answer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from latte.results.rows import PseudoLabels


@dataclass(frozen=True)
class ReviewImage:
    """One image, with the labels by the two models that are compared, and the run's own label."""

    key: str
    """The content key; copies of an image are one `ReviewImage`."""
    row: int
    """Index of the image's first copy among the training images."""
    zero_shot: int
    adapted: int
    """The label by the adapted model, even if the guard did not accept this model in full."""
    adapted_confidence: float
    used_label: int
    """The label by the model that the run uses, as in `pseudo_labels.csv`."""
    used_confidence: float
    series: int
    """Number of the image's series; images of a series count once."""
    others: int = 0
    """Number of other images of the series, copies included."""

    @property
    def labels(self) -> tuple[int, ...]:
        """The distinct labels that the compared models give this image, ascending."""
        return tuple(sorted({self.zero_shot, self.adapted}))

    @property
    def disagrees(self) -> bool:
        """True if the compared models give different labels."""
        return self.zero_shot != self.adapted


def draw(key: str) -> float:
    """Return the image's random number from 0 to 1, a hash of its content key."""
    number = hashlib.blake2b(b"latte review\0" + key.encode(), digest_size=8).digest()
    return int.from_bytes(number, "big") / 2**64


@dataclass(frozen=True)
class Population:
    """The distinct images of a review in random order.

    If answers taught the adapted model, the images of these answers and of their series are left
    out, because the gain on them does not represent other images.
    """

    images: tuple[ReviewImage, ...]

    @cached_property
    def disagreements(self) -> tuple[ReviewImage, ...]:
        """The images on which the models differ, in the order of asking."""
        return tuple(image for image in self.images if image.disagrees)

    @cached_property
    def agreements(self) -> tuple[tuple[ReviewImage, ...], tuple[ReviewImage, ...]]:
        """The images on which the models agree, split at the median confidence: low, high."""
        agreed = [image for image in self.images if not image.disagrees]
        ranked = sorted(agreed, key=lambda image: image.adapted_confidence)
        unsure = {image.key for image in ranked[: len(ranked) // 2]}
        return (
            tuple(image for image in agreed if image.key in unsure),
            tuple(image for image in agreed if image.key not in unsure),
        )


def population(
    keys: Sequence[str],
    adapted: PseudoLabels,
    used: PseudoLabels,
    taught: Collection[str] = (),
    series: Sequence[int] | None = None,
) -> Population:
    """Return a run's distinct images in review order, without the series that taught the model.

    `keys`, `adapted` and `used` have one value per training image: its content key, its labels by
    zero-shot CLIP and by the adapted model, and its label by the model that the run uses. `taught`
    has the content keys of images whose class a person gave before the run. `series` are the
    numbers of the images' series; None if each image is alone.
    """
    rows: dict[str, int] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, row)
    numbers = range(len(keys)) if series is None else series
    sizes = Counter(numbers)
    taught_series = {numbers[row] for key, row in rows.items() if key in taught}
    drawn = sorted(
        (key for key, row in rows.items() if numbers[row] not in taught_series), key=draw
    )
    images = (
        ReviewImage(
            key,
            row,
            zero_shot=adapted.frozen[row],
            adapted=adapted.adapted[row],
            adapted_confidence=adapted.confidence[row],
            used_label=used.adapted[row],
            used_confidence=used.confidence[row],
            series=numbers[row],
            others=sizes[numbers[row]] - 1,
        )
        for key, row in ((key, rows[key]) for key in drawn)
    )
    return Population(tuple(images))
