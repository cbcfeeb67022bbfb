"""Training pictures with their image tokens, which are computed once and cached on disk."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from build_model import stamps
from build_model.image_tower import IMAGE_SIZE, MEAN, STD

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
TOKEN_SCALE = 255 / 6
"""Factor from tokens to bytes: tokens are outputs of a ReLU6, so the error is at most 0.012."""


@dataclass(frozen=True)
class Views:
    """N views: pictures (N, S, S, 3) and tokens (N, T, 1280), both uint8.

    `source` (N,) is the index of the photo or stamp that each view shows.
    """

    pixels: Pixels
    tokens: Tensor
    source: Tensor

    def only(self, kept: Tensor) -> Views:
        """Return the views for which the mask `kept` (N,) is True."""
        return Views(self.pixels[kept.numpy()], self.tokens[kept], self.source[kept])


def square(image: Image.Image) -> Pixels:
    """Return the centre crop at the image tower's size, as the shipped processor does."""
    scale = IMAGE_SIZE / min(image.size)
    width, height = (max(IMAGE_SIZE, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - IMAGE_SIZE) // 2, (height - IMAGE_SIZE) // 2
    return np.asarray(image.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE)))


def random_crop(image: Image.Image, draw: random.Random) -> Pixels:
    """Return a random crop of 8 to 60 per cent of the area, sometimes mirrored."""
    area = image.width * image.height * draw.uniform(0.08, 0.6)
    ratio = math.exp(draw.uniform(-0.25, 0.25))
    width = min(image.width, round(math.sqrt(area * ratio)))
    height = min(image.height, round(math.sqrt(area / ratio)))
    left, top = draw.randint(0, image.width - width), draw.randint(0, image.height - height)
    part = image.crop((left, top, left + width, top + height))
    if draw.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return square(part)


def photo_pixels(
    paths: list[Path], crops: int, draw: random.Random
) -> Iterator[tuple[int, Pixels]]:
    """Yield pairs (index in `paths`, pixels).

    Each photo is shown once as a whole, then in `crops` random crops.
    """
    for row, path in enumerate(paths):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        yield row, square(image)
        for _ in range(crops):
            yield row, random_crop(image, draw)


def stamp_pixels(
    found: list[stamps.Stamp], drawn: int, draw: random.Random
) -> Iterator[tuple[int, Pixels]]:
    """Yield pairs (index in `found`, pixels).

    Each cut-out is shown once on white, then `drawn` times on random backgrounds.
    """
    for row, stamp in enumerate(found):
        for view in range(1 + drawn):
            yield row, square(stamps.on_ground(stamp, draw, plain=view == 0))


@torch.inference_mode()
def tokens(trunk: nn.Module, pixels: Pixels) -> Tensor:
    """Return uint8 tokens (N, T, 1280), scaled by TOKEN_SCALE, of pictures (N, S, S, 3)."""
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    batch = (batch - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    hidden: Tensor = trunk.forward_features(batch.contiguous(memory_format=torch.channels_last))  # type: ignore[operator]
    return (hidden.flatten(2).mT * TOKEN_SCALE).round().clamp(0, 255).to(torch.uint8)


def collect(trunk: nn.Module, pictures: Iterator[tuple[int, Pixels]], cache: Path) -> Views:
    """Return all views of one kind, from the file `cache` if it exists."""
    if not cache.exists():
        rows, stacks, parts, batch = [], [], [], []
        for row, pixels in pictures:
            rows.append(row)
            batch.append(pixels)
            if len(batch) == 64:
                stacks.append(np.stack(batch))
                parts.append(tokens(trunk, stacks[-1]))
                batch = []
                log.info("%s: %d", cache.name, len(rows))
        if batch:
            stacks.append(np.stack(batch))
            parts.append(tokens(trunk, stacks[-1]))
        kept = {"pixels": torch.from_numpy(np.concatenate(stacks)), "tokens": torch.cat(parts)}
        torch.save(kept | {"source": torch.tensor(rows)}, cache)
    content = torch.load(cache, weights_only=True, mmap=True)
    return Views(content["pixels"].numpy(), content["tokens"], content["source"])
