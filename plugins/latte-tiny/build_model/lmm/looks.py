"""Words for the appearance of an object: colours, background and texture, from the pixels."""

from __future__ import annotations

import colorsys
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLOURS_TEXT = "black white grey red pink brown beige orange yellow green blue purple"
COLOURS = COLOURS_TEXT.split()
"""All names that `colour_name` can return."""
SMALL = 48
"""Side in pixels to which images are scaled; few pixels are fast, and enough for colours."""
PLAIN_DEVIATION = 14.0
"""A background is plain if the median distance of border pixels from their median colour is below
this number; channels are from 0 to 255."""
STANDS_OFF = 45.0
"""A pixel is part of the object if its colour distance from a plain background is above this
number; channels are from 0 to 255."""


@dataclass(frozen=True)
class Looks:
    """Appearance of an image: one or two colours, background colour, plainness, and texture."""

    colours: tuple[str, ...]
    ground: str
    plain: bool
    texture: str | None


def colour_name(red: float, green: float, blue: float) -> str:
    """Return the everyday name of a colour whose channels are in [0, 1]."""
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    chroma = max(red, green, blue) - min(red, green, blue)
    if lightness < 0.14:
        return "black"
    if lightness > 0.88:
        return "white"
    if chroma < 0.1:
        return "white" if lightness > 0.8 else "black" if lightness < 0.2 else "grey"
    degrees = 360 * hue
    if degrees < 14 or degrees >= 340:
        return "pink" if lightness > 0.68 else "brown" if saturation < 0.4 else "red"
    if degrees < 45:
        if lightness > 0.7:
            return "beige"
        return "orange" if saturation > 0.65 and lightness > 0.42 else "brown"
    if degrees < 68:
        return "beige" if lightness > 0.72 else "yellow" if lightness > 0.38 else "green"
    for limit, name in ((165, "green"), (250, "blue"), (290, "purple")):
        if degrees < limit:
            return name
    return "pink" if lightness > 0.4 else "purple"


def look(image: NDArray[np.uint8]) -> Looks:
    """Return the appearance of the object in the middle of an RGB image (S, S, 3)."""
    step = max(1, image.shape[0] // SMALL)
    small = image[::step, ::step].astype(np.float32)
    side = small.shape[0]
    rim = max(1, side // 12)
    inner = np.zeros((side, side), dtype=bool)
    inner[rim:-rim, rim:-rim] = True
    border = small[~inner]
    ground = np.median(border, axis=0)
    plain = bool(np.median(np.linalg.norm(border - ground, axis=1)) < PLAIN_DEVIATION)
    if plain:
        object_mask = np.linalg.norm(small - ground, axis=2) > STANDS_OFF
    else:
        object_mask = np.zeros_like(inner)
        object_mask[side // 4 : -side // 4, side // 4 : -side // 4] = True
    if object_mask.sum() < 20:
        object_mask = inner
    counts = Counter(colour_name(*pixel) for pixel in small[object_mask][::2] / 255)
    total = sum(counts.values())
    common = [name for name, count in counts.most_common(2) if count > 0.28 * total]
    colours = tuple(common or [counts.most_common(1)[0][0]])
    return Looks(colours, colour_name(*(ground / 255)), plain, _texture(image, object_mask, step))


def _texture(image: NDArray[np.uint8], mask: NDArray[np.bool_], step: int) -> str | None:
    """Return `smooth`, `textured` or None, by the mean difference of neighbouring pixels."""
    grey = image.astype(np.float32).mean(2)
    change = np.abs(np.diff(grey, axis=0)[:, :-1]) + np.abs(np.diff(grey, axis=1)[:-1])
    rows = np.minimum(np.arange(mask.shape[0]) * step, change.shape[0] - 1)
    inside = change[np.ix_(rows, rows)][mask]
    detail = float(inside.mean())
    return "smooth" if detail < 7 else "textured" if detail > 34 else None
