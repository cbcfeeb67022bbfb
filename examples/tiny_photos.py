"""Copy photos of latte-tiny into folders, in the layout of your own images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from latte_tiny.dataset import IMAGES

NAMES = ("bonsai", "chair", "crab", "elephant", "laptop", "pizza", "sunflower", "watch")
"""Classes of Caltech-101 that the examples use."""


def write_photos(folder: Path) -> None:
    """Write unlabelled `photos`, `labelled` test photos by class, and `classes.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")
    split = json.loads((IMAGES / "split.json").read_text(encoding="utf-8"))
    for path, _, name in split["train"]:
        if name in NAMES:
            _copy(IMAGES / path, folder / "photos")
    for path, _, name in split["test"]:
        if name in NAMES:
            _copy(IMAGES / path, folder / "labelled" / name)


def true_class(photo: Path) -> str:
    """Return the class of a photo, which a person would see."""
    split = json.loads((IMAGES / "split.json").read_text(encoding="utf-8"))
    return next(name for path, _, name in split["train"] if Path(path).name == photo.name)


def _copy(photo: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(photo, folder)
