"""Draw a map of a run's photos: photos that look alike lie close together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import torch
from markupsafe import Markup
from torch import Tensor

from latte.interfaces import LatteError, RunResults
from latte.io.redaction import one_line
from latte.models.photo_places import principal_places, stored_places
from latte.models.similar_images import training_features
from latte.report.numbers import count, plural
from latte.results.folder import RunFolder
from latte.results.run import Run

MOST_DOTS = 5_000
"""Largest number of dots; of more photos, as many are drawn at equal distances in the list."""
DOUBTFUL = 0.5
"""Confidence below which a photo is drawn hollow."""
_MARGIN = 3.0
"""Distance of the outermost dots from the frame, in percent of its size."""
_NAMED = 12
"""Largest number of classes with a name on the map."""


@dataclass(frozen=True)
class PlacedPhotos:
    """Places of photos on the map, with the label and the confidence of each.

    Attributes:
        places: Coordinates (N, 2) from 0 to 1.
        every: Number of photos in the run.
    """

    places: Tensor
    labels: tuple[int, ...]
    confidence: tuple[float, ...]
    every: int


def placed_photos(results: RunResults) -> PlacedPhotos | None:
    """Return the photos of a finished run on a map; None if the run stored no features."""
    run = Run(RunFolder(results.folder))
    try:
        features = training_features(run)
        labels = run.rows.pseudo_labels if features is not None else None
    except LatteError:  # the run itself says what is damaged
        return None
    if features is None or labels is None or len(features) != len(labels.adapted):
        return None
    if len(features) < 3:
        return None
    rows = torch.arange(len(features))
    if len(rows) > MOST_DOTS:
        rows = torch.linspace(0, len(features) - 1, MOST_DOTS).round().long()
    chosen = rows.tolist()
    return PlacedPhotos(
        _places(run, features.float())[rows],
        tuple(labels.adapted[row] for row in chosen),
        tuple(labels.confidence[row] for row in chosen),
        len(features),
    )


def _places(run: Run, features: Tensor) -> Tensor:
    """Return the places that the review keeps, or the principal components, (N, 2) from 0 to 1."""
    kept = stored_places(run, len(features))
    return principal_places(features) if kept is None else kept


def map_content(results: RunResults, hue_of: Mapping[int, str]) -> dict[str, Any] | None:
    """Return picture, legend and notes of the map; None without stored features."""
    placed = placed_photos(results)
    if placed is None:
        return None
    names = [one_line(name) for name in results.record.data.class_names]
    shown = [label for label, hue in hue_of.items() if hue != "kx" and label in placed.labels]
    doubtful = sum(share < DOUBTFUL for share in placed.confidence)
    is_part = placed.every > len(placed.labels)
    return {
        "picture": _picture(placed, names, hue_of),
        "legend": [(label, hue_of[label], names[label]) for label in shown],
        "others": len({*placed.labels} - {*shown}),
        "doubtful": count(doubtful),
        "note": f"{count(len(placed.labels))} of {plural(placed.every, 'photo')} are drawn."
        if is_part
        else "",
    }


def _picture(placed: PlacedPhotos, names: Sequence[str], hue_of: Mapping[int, str]) -> Markup:
    label = f"Map of {plural(len(placed.labels), 'photo')}, coloured by label"
    root = ElementTree.Element("svg", {"class": "map", "role": "img", "aria-label": label})
    room = 100 - 2 * _MARGIN
    for (x, y), class_label, confidence in zip(
        placed.places.tolist(), placed.labels, placed.confidence, strict=True
    ):
        hollow = " hollow" if confidence < DOUBTFUL else ""
        ElementTree.SubElement(
            root,
            "circle",
            {
                "class": f"{hue_of[class_label]}{hollow}",
                "data-class": str(class_label),
                "cx": f"{_MARGIN + room * x:.1f}%",
                "cy": f"{_MARGIN + room * y:.1f}%",
                "r": "4.5" if len(placed.labels) <= 1_000 else "3",
            },
        )
    for class_label, (x, y) in _middles(placed, hue_of).items():
        where = {"x": f"{_MARGIN + room * x:.1f}%", "y": f"{_MARGIN + room * y:.1f}%"}
        ElementTree.SubElement(root, "text", where).text = f"\u2068{names[class_label][:24]}\u2069"
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _middles(placed: PlacedPhotos, hue_of: Mapping[int, str]) -> dict[int, tuple[float, float]]:
    """Return the median place of each coloured class; no names if there are many."""
    labels = torch.tensor(placed.labels)
    coloured = [label for label, hue in hue_of.items() if hue != "kx"][:_NAMED]
    middles = {}
    for label in coloured:
        places = placed.places[labels == label]
        if len(places):
            x, y = places.median(dim=0).values.tolist()
            middles[label] = (min(max(x, 0.06), 0.94), min(max(y, 0.04), 0.98))
    return middles
