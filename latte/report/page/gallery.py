"""The gallery: training images beside all texts and labels that the model learnt from."""

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

Mark = Literal["right", "wrong", "unknown"]

_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG in a `data:` URI; width and height in pixels."""

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class ShownLabel:
    """A pseudo-label, and a mark if the true label is known."""

    name: str
    mark: Mark


@dataclass(frozen=True)
class ShownDescription:
    """Texts of a description, and the images of its group."""

    name: str
    texts: tuple[str, ...]
    group: tuple[tuple[str, Thumbnail | None], ...]
    """Image id and picture."""


@dataclass(frozen=True)
class Card:
    """One training image."""

    id: str
    picture: Thumbnail | None
    descriptions: tuple[ShownDescription, ...]
    frozen: ShownLabel
    adapted: ShownLabel
    truth: str | None
    labels: tuple[int, ...]
    """All classes that the card names, each once."""

    @property
    def changed(self) -> bool:
        """Return whether adapting gave the image another label."""
        return self.frozen.name != self.adapted.name


@dataclass(frozen=True)
class Gallery:
    """Cards, and two sentences about the pseudo-labels of all sampled images."""

    cards: tuple[Card, ...]
    classes: tuple[tuple[int, str], ...]
    """Label and name of the classes on the cards, sorted by name."""
    kept: str | None
    """Sentence on how many images keep their label."""
    audit: str | None
    """Sentence on how many pseudo-labels are right; None if no true label is known."""


class Thumbnails:
    """Makes each thumbnail once, because an image may be in many groups."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, bool], Thumbnail | None] = {}

    def get(self, image: ImageReference, size: int, *, square: bool = False) -> Thumbnail | None:
        """Return an image whose longer side has `size` pixels, or its central square.

        None if the image cannot be read.
        """
        key = (image.id, size, square)
        if key not in self._made:
            self._made[key] = _make(image, size, square=square)
        return self._made[key]


def gallery(results: RunResults, images: int, size: int) -> Gallery:
    """Return cards of the first `images` entries, with pictures `size` pixels long."""
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
        picture=thumbnails.get(entry.image, size),
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
    group = tuple((image.id, thumbnails.get(image, size, square=True)) for image in described.group)
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


def _make(image: ImageReference, size: int, *, square: bool) -> Thumbnail | None:
    try:
        picture = decode_image(image.read_bytes(), at_least=2 * size)
    except (OSError, UnreadableImageError):
        return None
    resize = ImageOps.fit if square else ImageOps.contain
    return _encode(resize(picture, (size, size), Image.Resampling.LANCZOS))


def _encode(picture: Image.Image) -> Thumbnail:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{text}", picture.width, picture.height)
