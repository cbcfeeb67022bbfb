"""Every image below a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field

from latte.api import (
    ClassLookup,
    Context,
    ImageReference,
    LabelledImage,
    LatteError,
    PathText,
    SourceOptions,
)
from latte.api.sources import (
    CLASS_FOLDERS,
    CLASSES_HELP,
    ClassNames,
    ImageSource,
    ListedPaths,
    by_id,
    existing_folder,
    folder_class_name,
    image_reference,
    is_file,
    is_folder,
    labelled_list,
    labelled_tree,
    list_images,
    read_classes,
    refuse_overlap,
    shown,
)

_EVALUATION = "dataset.evaluation"


class FolderOptions(SourceOptions):
    """Every image below a folder, labelled by nobody."""

    root: PathText = Field(
        description="folder of the training images, searched with its sub-folders"
    )
    classes: ClassNames = Field(description=CLASSES_HELP)
    evaluation: PathText | None = Field(
        default=None,
        description="labelled images, outside root: a folder with one sub-folder a class, or a "
        "CSV or JSONL file with the columns path (from the file's folder, or absolute) and class",
    )


class ImageFolderDataset(ImageSource[FolderOptions]):
    """All images below `root` for training; labels, if any, in a tree or list of their own."""

    def __init__(self, options: FolderOptions, context: Context) -> None:
        self._root = existing_folder(context.path(options.root), "dataset.root")
        self._evaluation = _evaluation_path(options, context)
        classes = read_classes(options.classes, self._root, context)
        super().__init__(options, context, shown(classes), classes)

    def training_images(self) -> Sequence[ImageReference]:
        """Every image below `root`, sorted by id."""
        return self._training_images

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """The labelled images of `evaluation`, sorted by id; none without it."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """With `classes: folders`, what the sub-folders of `root` say; else nothing is known."""
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
        paths = list_images(self._root, "dataset.root")
        return by_id([image_reference(path, self._root) for path in paths])

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        path, lookup = self._evaluation, ClassLookup(self.class_names, self.class_aliases)
        if path is None:
            return ()
        if is_folder(path):
            _refuse_nesting(path, self._root)
            labelled = labelled_tree(path, self._root, lookup)
        else:
            paths = ListedPaths(path.parent, absolute=True, id_root=self._root)
            labelled = labelled_list(path, paths, lookup, "path", "class")
        refuse_overlap(self._training_images, labelled, _EVALUATION)
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
