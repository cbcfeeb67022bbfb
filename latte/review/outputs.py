"""Places beside the photos to which *Finish* writes: photos by class, and a table of labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from latte.interfaces import ImageReference, LatteError
from latte.io.paths import relative

OutputName = Literal["sorted", "labels"]
Write = Callable[[Path, OutputName, Path], None]
"""Function that writes the labels of a run folder, of one kind, to a new path."""
_ENDINGS: Mapping[OutputName, str] = {"sorted": "-sorted", "labels": "-labels.csv"}


@dataclass(frozen=True)
class Outputs:
    """Things that a person can write at the end; a folder of photos is never changed.

    Attributes:
        photos: Absolute path of the folder of the photos; None if they are not below one folder.
    """

    photos: Path | None
    write_labels: Write

    def paths(self) -> dict[OutputName, Path]:
        """Return the places to write to; empty if there is no folder to write beside."""
        if self.photos is None:
            return {}
        beside = self.photos.parent
        return {name: beside / (self.photos.name + ending) for name, ending in _ENDINGS.items()}

    def write(self, run: Path, name: OutputName) -> Path:
        """Write the labels of a run, and return the new file or folder.

        Raises:
            LatteError: something is there already, or it cannot be written.
        """
        path = self.paths().get(name)
        if path is None:
            raise LatteError("the photos are not in one folder, so there is no place beside it")
        if os.path.lexists(path):
            raise LatteError(
                "something is here already", where=relative(path), hint="remove or rename it"
            )
        self.write_labels(run, name, path)
        return path


def photos_folder(images: Sequence[ImageReference]) -> Path | None:
    """Return the folder whose files the images are, by their ids; None if there is no such one."""
    roots = {_root(image) for image in images}
    root = roots.pop() if len(roots) == 1 else None
    return root and root.resolve()


def _root(image: ImageReference) -> Path | None:
    """Return the path of an image without its id; None if the path does not end with the id."""
    below = PurePosixPath(image.id).parts
    if image.span is not None or image.path.parts[-len(below) :] != below:
        return None
    return Path(*image.path.parts[: -len(below)])
