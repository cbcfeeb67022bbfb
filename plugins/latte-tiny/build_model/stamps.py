"""Named cut-outs of single objects: the stamps of Tux Paint (tuxpaint-stamps-default).

Captioned photos mostly show people and dogs in scenes. Many image collections show single objects
on a plain background, for which a projection cannot be learnt from such photos.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from . import image_tower

NO_OBJECTS = {"alphabets", "math", "money", "flags", "shapes"}
"""Folders that are left out because they show signs: letters, digits, coins and flags."""
ARTICLE = re.compile(r"^(a|an|the|some) ", re.IGNORECASE)


@dataclass(frozen=True)
class Stamp:
    """Cut-out picture with the name of its object."""

    path: Path
    name: str


def find_stamps(folder: Path) -> list[Stamp]:
    """Return all stamps with a name, which is the start of the text file beside the picture."""
    stamps = []
    for path in sorted(folder.rglob("*.png")):
        text = path.with_suffix(".txt")
        if not text.exists() or NO_OBJECTS & set(path.parts):
            continue
        first = text.read_text(encoding="utf-8").splitlines()[0].strip().rstrip(".!")
        name = re.split(r"[.,]", ARTICLE.sub("", first).lower())[0]
        if name:
            stamps.append(Stamp(path, name))
    return stamps


def on_ground(stamp: Stamp, draw: random.Random, *, plain: bool) -> Image.Image:
    """Return the cut-out on a square background.

    If `plain`, the square is white and slightly larger than the cut-out; otherwise its colour and
    size are random, and the cut-out may be mirrored.
    """
    with Image.open(stamp.path) as image:
        cutout = image.convert("RGBA")
    cutout.thumbnail((400, 400))
    wider, ground = 1.1, (255, 255, 255)
    if not plain:
        wider = draw.uniform(1.0, 1.6)
        red, green, blue = (draw.randint(120, 255) for _ in range(3))
        ground = (red, green, blue) if draw.random() < 0.5 else ground
        if draw.random() < 0.5:
            cutout = cutout.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    side = round(max(cutout.size) * wider)
    canvas = Image.new("RGB", (side, side), ground)
    canvas.paste(cutout, ((side - cutout.width) // 2, (side - cutout.height) // 2), cutout)
    return canvas


@torch.no_grad()
def cached_views(
    trunk: nn.Module, stamps: list[Stamp], cache: Path, drawn: int = 3, seed: int = 0
) -> Tensor:
    """Return features (1 + drawn, N, 1280): of each stamp on white, then on random backgrounds."""
    if cache.exists():
        kept: Tensor = torch.load(cache, weights_only=True)
        return kept.float()
    draw, transform = random.Random(seed), image_tower.eval_transform()
    views = []
    for view in range(1 + drawn):
        images = [transform(on_ground(stamp, draw, plain=view == 0)) for stamp in stamps]
        views.append(image_tower.encode(trunk, images))
    stacked = torch.stack(views)
    torch.save(stacked.half(), cache)
    return stacked
