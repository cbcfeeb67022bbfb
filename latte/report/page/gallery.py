"""Small pictures that travel inside the page, as `data:` URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image, ImageOps

from latte.data.images import UnreadableImageError, decode_image
from latte.interfaces import Described, GalleryEntry, ImageReference, RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural
from latte.results.identity import is_oracle

_QUALITY = 85


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG inside its own address; width and height in pixels."""

    source: str
    width: int
    height: int


class Thumbnails:
    """Makes each thumbnail once: an image may stand in many groups."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, bool], Thumbnail | None] = {}

    def whole(self, image: ImageReference, size: int) -> Thumbnail | None:
        """All of an image, its longer side `size` pixels; None if it cannot be read."""
        return self._get(image, size, square=False)

    def square(self, image: ImageReference, size: int) -> Thumbnail | None:
        """The central square of an image; None if it cannot be read."""
        return self._get(image, size, square=True)

    def _get(self, image: ImageReference, size: int, *, square: bool) -> Thumbnail | None:
        key = (image.id, size, square)
        if key not in self._made:
            self._made[key] = _make(image, size, square=square)
        return self._made[key]


def _make(image: ImageReference, size: int, *, square: bool) -> Thumbnail | None:
    try:
        picture = decode_image(image.read_bytes(), at_least=2 * size)
    except (OSError, UnreadableImageError):
        return None
    resize = ImageOps.fit if square else ImageOps.contain
    return _encode(resize(picture, (size, size), Image.Resampling.LANCZOS))


def _encode(picture: Image.Image) -> Thumbnail:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{text}", picture.width, picture.height)


# Training images beside everything that taught the model about them.


Mark = Literal["right", "wrong", "unknown"]


@dataclass(frozen=True)
class ShownLabel:
    """A pseudo-label and whether it is known to be right."""

    name: str
    mark: Mark


@dataclass(frozen=True)
class ShownDescription:
    """A description's texts and the images that they are about, where there are several."""

    name: str
    texts: tuple[str, ...]
    group: tuple[tuple[str, Thumbnail | None], ...]
    """Image id and picture."""


@dataclass(frozen=True)
class Card:
    """One training image of the gallery."""

    id: str
    picture: Thumbnail | None
    descriptions: tuple[ShownDescription, ...]
    frozen: ShownLabel
    adapted: ShownLabel
    truth: str | None
    labels: tuple[int, ...]
    """Every class that the card names, once."""

    @property
    def changed(self) -> bool:
        """Whether adapting gave the image another label."""
        return self.frozen.name != self.adapted.name


@dataclass(frozen=True)
class Gallery:
    """The cards, and what all entries of a run's gallery say about its pseudo-labels."""

    cards: tuple[Card, ...]
    classes: tuple[tuple[int, str], ...]
    """Label and name of the classes on the cards, by name."""
    kept: str | None
    """How many training images the adapted model labels as the frozen one did."""
    audit: str | None
    """How many pseudo-labels are right, where true labels are known."""


def gallery(results: RunResults, images: int, size: int) -> Gallery:
    """The first `images` entries, pictures `size` pixels long; see `HtmlOptions`."""
    thumbnails = Thumbnails()
    cards = tuple(
        _card(entry, results.class_names, thumbnails, size) for entry in results.gallery[:images]
    )
    audit = _audit(results.gallery, is_oracle(results.recipe))
    return Gallery(cards, _classes(cards, results.class_names), _kept(results.gallery), audit)


def _classes(cards: Sequence[Card], names: Sequence[str]) -> tuple[tuple[int, str], ...]:
    labels = {label for card in cards for label in card.labels}
    named = ((label, one_line(names[label])) for label in labels)
    return tuple(sorted(named, key=lambda item: (item[1].lower(), item[0])))


def _card(entry: GalleryEntry, names: Sequence[str], thumbnails: Thumbnails, size: int) -> Card:
    labels = (entry.frozen_label, entry.adapted_label, entry.true_label)
    return Card(
        id=entry.image.id,
        picture=thumbnails.whole(entry.image, size),
        descriptions=tuple(
            _description(name, described, thumbnails, max(32, size * 2 // 5))
            for name, described in entry.descriptions.items()
        ),
        frozen=_label(names, entry.frozen_label, entry.true_label),
        adapted=_label(names, entry.adapted_label, entry.true_label),
        truth=None if entry.true_label is None else names[entry.true_label],
        labels=tuple(dict.fromkeys(label for label in labels if label is not None)),
    )


def _description(
    name: str, described: Described, thumbnails: Thumbnails, size: int
) -> ShownDescription:
    group = tuple((image.id, thumbnails.square(image, size)) for image in described.group)
    texts = tuple(one_line(text) for text in (described.text, *described.others))
    return ShownDescription(name, texts, group)


def _label(names: Sequence[str], label: int, truth: int | None) -> ShownLabel:
    if truth is None:
        return ShownLabel(names[label], "unknown")
    return ShownLabel(names[label], "right" if label == truth else "wrong")


def _kept(entries: Sequence[GalleryEntry]) -> str | None:
    if not entries:
        return None
    kept = sum(entry.frozen_label == entry.adapted_label for entry in entries)
    return (
        f"Of {plural(len(entries), 'sampled training image')}, the adapted model gives "
        f"{_share(kept, len(entries))} the label of the frozen one."
    )


def _audit(entries: Sequence[GalleryEntry], labels_were_used: bool) -> str | None:
    known = [entry for entry in entries if entry.true_label is not None]
    if not known:
        return None
    frozen = sum(entry.frozen_label == entry.true_label for entry in known)
    adapted = sum(entry.adapted_label == entry.true_label for entry in known)
    reach = "chose groups and nothing else here" if labels_were_used else "reach no training"
    return (
        f"For information only, as true labels {reach}: of "
        f"{plural(len(known), 'sampled training image')} with a known label, the frozen "
        f"pseudo-label is right for {_share(frozen, len(known))} and the adapted one for "
        f"{_share(adapted, len(known))}."
    )


def _share(number: int, total: int) -> str:
    return f"{count(number)} ({percent(number / total, total)})"
