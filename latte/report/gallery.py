"""Training images beside everything that taught the model about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from latte.interfaces import Described, GalleryEntry, RunResults
from latte.report.numbers import count, percent, plural
from latte.report.oracle import is_oracle
from latte.report.plain import one_line
from latte.report.thumbnails import Thumbnail, Thumbnails

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
