"""Make the gallery: training images with the texts and labels that the model learnt from."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

from latte.data.images import fitted, open_image
from latte.interfaces import GalleryEntry, ImageReference, LatteError, RunResults
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, plural
from latte.results.oracle import use_of_true_labels

_JPEG_QUALITY = 72


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG as a `data:` URI, with width and height in pixels."""

    source: str
    width: int
    height: int


MakeThumbnail = Callable[[ImageReference, int, bool], Thumbnail | None]
"""Function of an image, a size and `square` that returns a thumbnail; see `thumbnail`."""


def thumbnail(image: ImageReference, size: int, square: bool) -> Thumbnail | None:
    """Return the image, or its central square if `square`, with a longer side of `size` pixels.

    The result is None if the image cannot be read, or has changed during the run.
    """
    try:
        picture = open_image(image, at_least=2 * size)
    except LatteError:
        return None
    if square:
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    else:
        picture = fitted(picture, size)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{text}", picture.width, picture.height)


def gallery(results: RunResults, images: int, size: int) -> dict[str, Any]:
    """Return at most `images` cards, with thumbnails whose longer side has `size` pixels.

    `classes` has (label, name) of each class on the cards, sorted by name. `audit` is a sentence
    on the number of correct pseudo-labels, or None if no true label is known.
    """
    thumbnails = cache(thumbnail)  # an image may be in many groups
    names = results.record.data.class_names
    cards = [_card(entry, names, thumbnails, size) for entry in results.gallery[:images]]
    labels = {label for card in cards for label in card["labels"]}
    classes = ((label, one_line(names[label])) for label in labels)
    return {
        "cards": cards,
        "classes": sorted(classes, key=lambda item: (item[1].lower(), item[0])),
        "audit": _audit(results.gallery, use_of_true_labels(results.record.recipe)),
    }


def _card(
    entry: GalleryEntry, names: Sequence[str], thumbnails: MakeThumbnail, size: int
) -> dict[str, Any]:
    labels, small = (entry.frozen_label, entry.adapted_label, entry.true_label), size * 2 // 5
    return {
        "id": entry.image.id,
        "picture": thumbnails(entry.image, size, False),
        "descriptions": [
            {
                "name": name,
                "texts": [one_line(text) for text in (described.text, *described.others)],
                "group": [
                    (image.id, thumbnails(image, max(32, small), True)) for image in described.group
                ],
            }
            for name, described in entry.descriptions.items()
        ],
        "frozen": _label(names, entry.frozen_label, entry.true_label),
        "adapted": _label(names, entry.adapted_label, entry.true_label),
        "changed": names[entry.frozen_label] != names[entry.adapted_label],
        "truth": None if entry.true_label is None else names[entry.true_label],
        "labels": [*dict.fromkeys(label for label in labels if label is not None)],
    }


def _label(names: Sequence[str], label: int, truth: int | None) -> dict[str, str]:
    mark = "unknown" if truth is None else "right" if label == truth else "wrong"
    return {"name": names[label], "mark": mark}


def _audit(entries: Sequence[GalleryEntry], label_use: str) -> str | None:
    labelled = [entry for entry in entries if entry.true_label is not None]
    if not labelled:
        return None
    frozen = sum(entry.frozen_label == entry.true_label for entry in labelled)
    adapted = sum(entry.adapted_label == entry.true_label for entry in labelled)
    return (
        f"For information only, as true labels {label_use}: of "
        f"{plural(len(labelled), 'sampled training image')} with a known label, the zero-shot "
        f"pseudo-label is right for {_share(frozen, len(labelled))} and the adapted one for "
        f"{_share(adapted, len(labelled))}."
    )


def _share(number: int, total: int) -> str:
    return f"{count(number)} ({percent(number / total, total)})"
