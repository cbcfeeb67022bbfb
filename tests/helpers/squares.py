"""A small recipe on coloured squares; `{clip}` is the folder of a tiny CLIP."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.recorded import write_colour_images

RECIPE = """\
dataset:
  use: folder
  root: images
  classes: [red, green, blue]
  evaluation: test
backbone: {{model: "local-dir:{clip}"}}
describer: phrases
descriptions:
  - class
  - image
  - {{use: group, size: 2}}
labels: [current, frozen]
prototypes: {{use: momentum, momentum: 0.9}}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 2
  checkpoint_every: 2
  optimizer: {{learning_rate: 1.0e-3}}
"""


def write_project(folder: Path, clip: Path) -> Path:
    """Write the recipe with 12 training and 9 labelled test images; return its path.

    The folders of the training images name no class.
    """
    colours = ("red", "green", "blue")
    images = write_colour_images(folder / "images", colours, 4, (40, 36))
    for number, name in enumerate(colours):
        (images / name).rename(images / f"part-{number}")
    write_colour_images(folder / "test", colours, 3, (38, 38))
    path = folder / "squares.yaml"
    path.write_text(RECIPE.format(clip=clip))
    return path
