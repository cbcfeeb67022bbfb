"""The image set that this package ships, as a latte dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from latte.api import Dataset, ImageReference, LabelledImage
from latte_tiny import PACKAGE
from latte_tiny.options import TinyCaltechOptions

IMAGES = PACKAGE / "images"


class TinyCaltech(Dataset[TinyCaltechOptions]):
    """Photos of 100 classes; `split.json` lists them as CoOp does: path, label, class name."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The 100 names, in label order, with spaces."""
        names = (IMAGES / "classes.txt").read_text(encoding="utf-8").splitlines()
        return tuple(name.replace("_", " ") for name in names)

    @property
    def template(self) -> str:
        """The sentence that stands for a class."""
        return self.options.template

    def training_images(self) -> Sequence[ImageReference]:
        """Images without their labels, by file name, which says nothing of the class."""
        return [_reference(path) for path in sorted(row[0] for row in self._split["train"])]

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Other images, with labels."""
        return [LabelledImage(_reference(path), label) for path, label, _ in self._split["test"]]

    def audit_labels(self) -> Mapping[str, int]:
        """Labels of the training images, for reports."""
        return {path: label for path, label, _ in self._split["train"]}

    @cached_property
    def _split(self) -> dict[str, Any]:
        split: dict[str, Any] = json.loads((IMAGES / "split.json").read_text(encoding="utf-8"))
        return split


def _reference(path: str) -> ImageReference:
    return ImageReference(path, IMAGES / path)
