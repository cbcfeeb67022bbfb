"""Recipe of all faults: coloured squares and a tiny CLIP; every stage takes seconds."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.clip_models import TINY_CLIP, build_clip
from tests.helpers.recorded import write_colour_images
from tests.helpers.squares import RECIPE


def write_recipe(folder: Path) -> Path:
    """Write recipe, images and model; return the recipe's path."""
    clip = folder / "clip"
    clip.mkdir(parents=True)
    build_clip(TINY_CLIP).save(clip)
    colours = ("red", "green", "blue")
    images = write_colour_images(folder / "images", colours, per_class=4, size=(40, 36))
    for number, name in enumerate(colours):
        (images / name).rename(images / f"part-{number}")
    write_colour_images(folder / "test", colours, per_class=3, size=(38, 38))
    path = folder / "squares.yaml"
    path.write_text(RECIPE.format(clip=clip))
    return path
