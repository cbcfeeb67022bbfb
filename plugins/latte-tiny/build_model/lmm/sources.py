"""Everything that is read to make the training data: photos, captions, stamps, names."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from build_model import corpus, stamps

from . import names, views


@dataclass(frozen=True)
class Sources:
    """Photos and stamps with their words."""

    captions: list[list[str]]
    photos: views.Views
    stamp_names: list[str]
    stamps: views.Views
    classes: list[names.Name]


def load(
    trunk: nn.Module, flickr8k: Path, stamp_folder: Path, wordnet: Path, cache: Path
) -> Sources:
    """The training part of Flickr8k (whole and two crops a photo) and four views a stamp."""
    table = corpus.read_captions(flickr8k / "captions.txt")
    train = corpus.caption_split(table)["train"]
    paths = [flickr8k / "images" / name for name in train]
    found = stamps.find_stamps(stamp_folder)
    return Sources(
        captions=[table[name] for name in train],
        photos=views.collect(
            trunk, views.photo_pixels(paths, 2, random.Random(0)), cache / "photos.pt"
        ),
        stamp_names=[stamp.name for stamp in found],
        stamps=views.collect(
            trunk, views.stamp_pixels(found, 3, random.Random(0)), cache / "stamps.pt"
        ),
        classes=names.class_names(wordnet),
    )
