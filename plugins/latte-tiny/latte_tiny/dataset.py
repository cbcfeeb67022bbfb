"""Dataset of the images that this package ships."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import Field

from latte.api import Dataset, ImageReference, LabelledImage, Options
from latte_tiny import PACKAGE

IMAGES = PACKAGE / "images"


class TinyCaltechOptions(Options):
    """Options of the dataset `tiny-caltech`."""

    template: str = Field(
        default="a photo of a {class}.",
        pattern=r"\{class\}",
        description="sentence that stands for a class; {class} becomes its name",
    )


class TinyCaltech(Dataset[TinyCaltechOptions]):
    """Dataset of photos of 100 classes, listed in `split.json` in CoOp's format."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the 100 class names in label order; words are separated by spaces."""
        names = (IMAGES / "classes.txt").read_text(encoding="utf-8").splitlines()
        return tuple(name.replace("_", " ") for name in names)

    @property
    def template(self) -> str:
        """Return the template of the sentence that describes a class."""
        return self.options.template

    def training_images(self) -> Sequence[ImageReference]:
        """Return the training images without labels; their file names do not reveal the class."""
        return [_reference(path) for path in sorted(row[0] for row in self._split["train"])]

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return the test images with labels; none of them is a training image."""
        return [LabelledImage(_reference(path), label) for path, label, _ in self._split["test"]]

    def audit_labels(self) -> Mapping[str, int]:
        """Return the labels of the training images, by image id, for reports."""
        return {path: label for path, label, _ in self._split["train"]}

    @cached_property
    def _split(self) -> dict[str, Any]:
        split: dict[str, Any] = json.loads((IMAGES / "split.json").read_text(encoding="utf-8"))
        return split


def _reference(path: str) -> ImageReference:
    return ImageReference(path, IMAGES / path)
