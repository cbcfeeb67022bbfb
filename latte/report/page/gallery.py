"""Make the gallery: training images with the texts and labels that the model learnt from."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Literal

from PIL import Image, ImageOps

from latte.data.images import open_image
from latte.interfaces import GalleryEntry, ImageReference, LatteError, RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural
from latte.results.identity import is_oracle

Mark = Literal["right", "wrong", "unknown"]

_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG as a `data:` URI, with width and height in pixels."""

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class ShownLabel:
    """A pseudo-label, marked as right or wrong, or as `unknown` without a true label."""

    name: str
    mark: Mark


@dataclass(frozen=True)
class ShownDescription:
    """The texts of one description type about an image."""

    name: str
    texts: tuple[str, ...]
    group: tuple[tuple[str, Thumbnail | None], ...]
    """Image ID and picture of each image of a group description; empty for other descriptions."""


@dataclass(frozen=True)
class Card:
    """One training image with its texts and labels."""

    id: str
    picture: Thumbnail | None
    descriptions: tuple[ShownDescription, ...]
    frozen: ShownLabel
    adapted: ShownLabel
    truth: str | None
    labels: tuple[int, ...]
    """The distinct classes among the zero-shot label, the adapted label and the true label."""

    @property
    def changed(self) -> bool:
        """True if the adapted label differs from the zero-shot label."""
        return self.frozen.name != self.adapted.name


@dataclass(frozen=True)
class Gallery:
    """Cards of a sample of training images, and a sentence about the whole sample."""

    cards: tuple[Card, ...]
    classes: tuple[tuple[int, str], ...]
    """Label and name of each class on the cards, sorted by name."""
    audit: str | None
    """Sentence with the number of correct pseudo-labels; None if no true label is known."""


Thumbnails = Callable[[ImageReference, int, bool], Thumbnail | None]
"""Function of an image, a size and `square` that returns a thumbnail; see `thumbnail`."""


def thumbnail(image: ImageReference, size: int, square: bool) -> Thumbnail | None:
    """Return the image, or its central square if `square`, at most `size` pixels long and wide.

    The result is None if the image cannot be read, or has changed during the run.
    """
    try:
        picture = open_image(image, at_least=2 * size)
    except LatteError:
        return None
    resize = ImageOps.fit if square else ImageOps.contain
    picture = resize(picture, (size, size), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{text}", picture.width, picture.height)


def gallery(results: RunResults, images: int, size: int) -> Gallery:
    """Return at most `images` cards, with thumbnails whose longer side has `size` pixels."""
    thumbnails = cache(thumbnail)  # an image may be in many groups
    names = results.class_names
    cards = tuple(_card(entry, names, thumbnails, size) for entry in results.gallery[:images])
    labels = {label for card in cards for label in card.labels}
    classes = ((label, one_line(names[label])) for label in labels)
    return Gallery(
        cards,
        tuple(sorted(classes, key=lambda item: (item[1].lower(), item[0]))),
        _audit(results.gallery, is_oracle(results.recipe)),
    )


def _card(entry: GalleryEntry, names: Sequence[str], thumbnails: Thumbnails, size: int) -> Card:
    labels, small = (entry.frozen_label, entry.adapted_label, entry.true_label), size * 2 // 5
    return Card(
        id=entry.image.id,
        picture=thumbnails(entry.image, size, False),
        descriptions=tuple(
            ShownDescription(
                name,
                tuple(one_line(text) for text in (described.text, *described.others)),
                tuple((one.id, thumbnails(one, max(32, small), True)) for one in described.group),
            )
            for name, described in entry.descriptions.items()
        ),
        frozen=_label(names, entry.frozen_label, entry.true_label),
        adapted=_label(names, entry.adapted_label, entry.true_label),
        truth=None if entry.true_label is None else names[entry.true_label],
        labels=tuple(dict.fromkeys(label for label in labels if label is not None)),
    )


def _label(names: Sequence[str], label: int, truth: int | None) -> ShownLabel:
    if truth is None:
        return ShownLabel(names[label], "unknown")
    return ShownLabel(names[label], "right" if label == truth else "wrong")


def _audit(entries: Sequence[GalleryEntry], labels_were_used: bool) -> str | None:
    known = [entry for entry in entries if entry.true_label is not None]
    if not known:
        return None
    frozen = sum(entry.frozen_label == entry.true_label for entry in known)
    adapted = sum(entry.adapted_label == entry.true_label for entry in known)
    reach = "chose groups and nothing else here" if labels_were_used else "reach no training"
    return (
        f"For information only, as true labels {reach}: of "
        f"{plural(len(known), 'sampled training image')} with a known label, the zero-shot "
        f"pseudo-label is right for {_share(frozen, len(known))} and the adapted one for "
        f"{_share(adapted, len(known))}."
    )


def _share(number: int, total: int) -> str:
    return f"{count(number)} ({percent(number / total, total)})"
