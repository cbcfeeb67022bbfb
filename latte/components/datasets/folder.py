"""Dataset `folder`: every image below a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field

from latte.api import (
    Context,
    ImageReference,
    LabelledImage,
    LatteError,
    PathText,
    SourceOptions,
)
from latte.api.sources import (
    CLASS_FOLDERS,
    ClassNames,
    ImageSource,
    ListedPaths,
    existing_folder,
    folder_class_name,
    images_below,
    is_file,
    is_folder,
    labelled_tree,
    read_classes,
)

_EVALUATION = "dataset.evaluation"


class FolderOptions(SourceOptions):
    """Options of dataset `folder`: a folder of training images without labels, and class names."""

    root: PathText = Field(
        description="folder of the training images, searched with its sub-folders"
    )
    classes: ClassNames
    evaluation: PathText | None = Field(
        default=None,
        description="labelled images, outside root: a folder with one sub-folder per class, or a "
        "CSV or JSONL file with the columns path (from the file's folder, or absolute) and class",
    )


class ImageFolderDataset(ImageSource[FolderOptions]):
    """All images below `root` for training; labelled images, if any, from `evaluation`."""

    def __init__(self, options: FolderOptions, context: Context) -> None:
        self._root = existing_folder(context.path(options.root), "dataset.root")
        self._evaluation = _evaluation_path(options, context)
        super().__init__(options, context, read_classes(options.classes, self._root, context))

    def training_images(self) -> Sequence[ImageReference]:
        """Return every image below `root`, sorted by id."""
        return self._training_images

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return the labelled images of option `evaluation`, by id; empty if it is not set."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """Return labels from the sub-folders of `root`, if the recipe says `classes: folders`."""
        if self.options.classes != CLASS_FOLDERS:
            return {}
        labels = {name: label for label, name in enumerate(self.class_names)}
        folders: dict[str, int] = {}
        found = {}
        for image in self._training_images:
            inner = image.path.relative_to(self._root).parts
            if len(inner) > 1:
                if inner[0] not in folders:
                    folders[inner[0]] = labels[folder_class_name(Path(inner[0]))]
                found[image.id] = folders[inner[0]]
        return found

    @cached_property
    def _training_images(self) -> tuple[ImageReference, ...]:
        return images_below(self._root, "dataset.root")

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        path = self._evaluation
        if path is None:
            return ()
        if is_folder(path):
            _refuse_nesting(path, self._root)
            labelled = labelled_tree(path, self._root, self.lookup)
        else:
            paths = ListedPaths(path.parent, absolute=True, id_root=self._root)
            labelled = paths.labelled(path, self.lookup, "path", "class")
        self.refuse_overlap(labelled, _EVALUATION)
        return labelled


def _evaluation_path(options: FolderOptions, context: Context) -> Path | None:
    if options.evaluation is None:
        return None
    path = context.path(options.evaluation)
    return path if is_file(path) else existing_folder(path, _EVALUATION)


def _refuse_nesting(evaluation: Path, root: Path) -> None:
    inner, outer = evaluation.resolve(), root.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise LatteError(
            f"{evaluation} and root {root} lie inside each other: training would see the "
            "evaluation images",
            where=_EVALUATION,
            hint="Put the labelled images beside root, or point root at the training folder alone.",
        )
