"""Small images, in files and in memory."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from latte.interfaces import ImageReference


def picture(seed: int = 0, width: int = 40, height: int = 30) -> Image.Image:
    """Return a smooth colourful image whose corners differ, so that rotations show."""
    random = numpy.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 5, 3), dtype=numpy.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write_picture(path: Path, seed: int = 0, width: int = 40, height: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, width, height).save(path)
    return path


def references(folder: Path, count: int, width: int = 40, height: int = 30) -> list[ImageReference]:
    """Write `count` different PNG files below `folder`."""
    names = [f"{i:03}.png" for i in range(count)]
    for seed, name in enumerate(names):
        write_picture(folder / name, seed, width, height)
    return [ImageReference(id=name, path=folder / name) for name in names]
