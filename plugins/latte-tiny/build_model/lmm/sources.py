"""Load the sources of training data: photos, captions, stamps (cut-out objects), class names."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from build_model import corpus, stamps

from . import names, views

HELD_OUT = 10
"""Every tenth stamp is held out from training."""


@dataclass(frozen=True)
class Sources:
    """Photos and stamps with their captions and names."""

    captions: list[list[str]]
    photos: views.Views
    stamps: views.Views
    stamp_people: Tensor
    """(stamps,) bool: True if a stamp shows people."""
    classes: list[names.Name]


def load(
    trunk: nn.Module, flickr8k: Path, stamp_folder: Path, wordnet: Path, cache: Path
) -> Sources:
    """Return Flickr8k's training part (each whole photo and two crops) and four views per stamp."""
    table = corpus.read_captions(flickr8k / "captions.txt")
    train = corpus.caption_split(table)["train"]
    paths = [flickr8k / "images" / name for name in train]
    found, cutouts = stamp_views(trunk, stamp_folder, cache)
    return Sources(
        captions=[table[name] for name in train],
        photos=views.collect(
            trunk, views.photo_pixels(paths, 2, random.Random(0)), cache / "photos.pt"
        ),
        stamps=cutouts.only(cutouts.source % HELD_OUT != 0),
        stamp_people=torch.tensor(["people" in stamp.path.parts for stamp in found]),
        classes=names.class_names(wordnet),
    )


def stamp_views(
    trunk: nn.Module, folder: Path, cache: Path
) -> tuple[list[stamps.Stamp], views.Views]:
    """Return all stamps, including held-out ones, and four views of each."""
    found = stamps.find_stamps(folder)
    pixels = views.stamp_pixels(found, 3, random.Random(0))
    return found, views.collect(trunk, pixels, cache / "stamps.pt")
