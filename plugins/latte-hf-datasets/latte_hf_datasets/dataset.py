"""Dataset `hf`: a Hugging Face dataset with an image column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from latte.api import Context, ImageReference, LabelledImage, LatteError
from latte.api.sources import ImageSource
from latte_hf_datasets.images import references
from latte_hf_datasets.splits import (
    HuggingFaceOptions,
    Table,
    class_names,
    library_cache,
    open_split,
)


class HuggingFaceDataset(ImageSource[HuggingFaceOptions]):
    """Dataset of unlabelled training images and labelled evaluation images from two splits."""

    def __init__(self, options: HuggingFaceOptions, context: Context) -> None:
        super().__init__(options, context)
        self._cache = context.cache_dir / "latte-hf-datasets"
        self._path = None if options.path is None else _existing(context.path(options.path))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Return the names in the option `classes`, or else the class names of the label column."""
        names = self.options.classes
        if names is None:
            table = self._train if self._evaluation is None else self._evaluation
            names = class_names(table, self.options.label)
        if names is None:
            raise LatteError(
                f"the column {self.options.label!r} knows no class names",
                where="dataset.classes",
                hint="Name them in label order: classes: [cat, dog]",
            )
        if len({*names}) < max(2, len(names)) or not all(name.strip() for name in names):
            raise LatteError("class names must be several, and distinct", where="dataset.classes")
        return names

    def training_images(self) -> Sequence[ImageReference]:
        """Return the images of the split `train` in the order of its rows."""
        return self._training

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return images and labels of the evaluation split, in which each row must have a label."""
        return self._labelled

    def audit_labels(self) -> Mapping[str, int]:
        """Return the labels of the split `train` by image id, for rows that have a label."""
        if self.options.label not in self._train.column_names:
            return {}
        labels = self._train[self.options.label]
        pairs = zip(self._training, labels, strict=True)
        return {
            image.id: self._index(label, image.id)
            for image, label in pairs
            if label is not None and label != -1
        }

    @cached_property
    def _train(self) -> Table:
        return open_split(self.options, self._path, self.options.train, self._cache / "arrow")

    @cached_property
    def _evaluation(self) -> Table | None:
        split = self.options.evaluation
        if split is None:
            return None
        return open_split(self.options, self._path, split, self._cache / "arrow")

    @cached_property
    def _training(self) -> list[ImageReference]:
        return self._references(self._train, self.options.train)

    @cached_property
    def _labelled(self) -> list[LabelledImage]:
        if self._evaluation is None or self.options.evaluation is None:
            return []
        if self.options.label not in self._evaluation.column_names:
            raise LatteError(
                f"split {self.options.evaluation!r} has no column {self.options.label!r}",
                where="dataset.label",
                hint=f"Its columns are {', '.join(self._evaluation.column_names)}.",
            )
        images = self._references(self._evaluation, self.options.evaluation)
        labels = self._evaluation[self.options.label]
        return [
            LabelledImage(image, self._index(label, image.id))
            for image, label in zip(images, labels, strict=True)
        ]

    def _references(self, table: Table, split: str) -> list[ImageReference]:
        copies, files = self._cache / "images", self.options.files
        allowed = [library_cache(), copies.parent] if files is None else [self.context.path(files)]
        if files is None and self._path is not None:
            allowed.insert(0, self._path)
        return references(table, self.options.image, split, copies, allowed)

    def _index(self, label: object, where: str) -> int:
        names = self.class_names
        if isinstance(label, str):
            return self.lookup.label(label, where)
        if isinstance(label, int) and label in range(len(names)):
            return label
        raise LatteError(f"{label!r} is no label of {len(names)} classes", where=where)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise LatteError(
            f"no such file or folder: {path}",
            where="dataset.path",
            hint="A dataset on the hub is named with repository and revision.",
        )
    return path
