"""Show the surest and the most doubtful training images of each class as contact sheets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, groupby
from typing import NamedTuple

from latte.data.prefetch import image_threads
from latte.interfaces import ClassifiedImage, RunResults
from latte.io.redaction import one_line
from latte.report.numbers import percent
from latte.report.page.gallery import Thumbnail, thumbnail

MOST_SHEETS = 40
"""Largest number of classes with a sheet; a sheet takes about 25 kilobytes."""
_MOST_SERIES = 50
"""Largest number of series with a pair in `RunResults.near_copies`."""
_SUREST = 8
"""Number of images of a class that come before its doubtful ones."""
_SIZE = 84
_DIGITS_OF = 100
"""Assumed sample size of a confidence, so that it is shown without a decimal."""


class SheetImage(NamedTuple):
    """A square picture, None if it cannot be read, and a text that names it."""

    picture: Thumbnail | None
    text: str
    is_doubtful: bool


@dataclass(frozen=True)
class Sheet:
    """Images of one class, and the number of all images with this label."""

    name: str
    images: int
    shown: tuple[SheetImage, ...]


def sheets(results: RunResults) -> list[Sheet]:
    """Return a contact sheet per class of the training images, the largest class first."""
    groups = groupby(results.examples, key=lambda example: example.labels[0])
    examples = {label: [*group] for label, group in groups}
    names, counts = results.record.data.class_names, results.pseudo_label_counts
    largest = sorted(examples, key=lambda label: -counts[label][1])[:MOST_SHEETS]
    with ThreadPoolExecutor(image_threads()) as executor:

        def sheet(label: int) -> Sheet:
            images = executor.map(_sheet_image, examples[label], count())
            return Sheet(one_line(names[label]), counts[label][1], tuple(images))

        return [*map(sheet, largest)]


def copies_sentence(results: RunResults) -> str | None:
    """Return how many series of near-copies there are, with an example; None without any.

    Each series has one pair in the results.
    """
    pairs = results.near_copies
    if not pairs:
        return None
    first_copy, second_copy = map(one_line, pairs[0])
    if len(pairs) == 1:
        return f"1 series of near-copies, which answers count once: {first_copy} and {second_copy}"
    number = f"{len(pairs)} or more" if len(pairs) == _MOST_SERIES else str(len(pairs))
    return (
        f"{number} series of near-copies, each of which answers count once, such as {first_copy} "
        f"and {second_copy}"
    )


def _sheet_image(example: ClassifiedImage, position: int) -> SheetImage:
    confidence = percent(example.confidences[0], _DIGITS_OF)
    return SheetImage(
        thumbnail(example.image, _SIZE, square=True),
        f"{example.image.id}, {confidence}",
        position >= _SUREST,
    )
