"""Datasets of the user's own images: `folder`, `list` and `coop`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from latte.api import (
    Context,
    ImageReference,
    LabelledImage,
    LatteError,
    PathText,
    SourceOptions,
    long_task,
)
from latte.api.sources import (
    CLASS_FOLDERS,
    ClassNames,
    ImageSource,
    LeftOut,
    ListedPaths,
    MissingColumnError,
    SplitDataset,
    class_notes,
    existing_file,
    existing_folder,
    folder_class_name,
    images_below,
    is_file,
    is_folder,
    iterate_rows,
    labelled_tree,
    read_classes,
    read_splits,
)

_EVALUATION = "dataset.evaluation"
_OWN_COLUMNS = "Name yours in the recipe, as in: path_column: NAME, class_column: NAME"


class FolderOptions(SourceOptions):
    """Options of dataset `folder`: a folder of unlabelled training images, and class names."""

    root: PathText = Field(
        description="folder of the training images, searched with its sub-folders"
    )
    classes: ClassNames
    evaluation: PathText | None = Field(
        default=None,
        description="labelled images: a folder with one sub-folder per class, outside root, or a "
        "CSV or JSONL file with the columns path (from the file's folder, from root, or absolute) "
        "and class; it may name images of root",
    )
    follow_links: bool = Field(
        default=False,
        description="true: images outside root, to which links in root lead, may be sent to a "
        "describer on another machine; on this machine links are always followed",
    )


class ImageFolderDataset(ImageSource[FolderOptions]):
    """Dataset of all images below the folder `root`, with optional labelled test images."""

    lists_quickly: ClassVar[bool] = True

    def __init__(self, options: FolderOptions, context: Context) -> None:
        self._root = existing_folder(context.path(options.root), "dataset.root")
        self._evaluation = None
        if options.evaluation is not None:
            path = context.path(options.evaluation)
            self._evaluation = path if is_file(path) else existing_folder(path, _EVALUATION)
        self._left_out, self._listed = LeftOut(), ListedPaths(self._root, absolute=True)
        if self._evaluation is not None:
            self._listed = _FromEither(self._evaluation.parent, self._root)
        super().__init__(options, context, read_classes(options.classes, self._root, context))

    def training_images(self) -> Sequence[ImageReference]:
        """Return every image below `root`, sorted by id."""
        return self._training_images

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return the labelled images of the option `evaluation`, sorted by id; empty if not set."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """Return labels from the sub-folders of `root`; empty unless `classes` is `folders`."""
        if self.options.classes != CLASS_FOLDERS:
            return {}
        labels = {name: label for label, name in enumerate(self.class_names)}
        folders: dict[str, int] = {}
        image_labels = {}
        for image in self._training_images:
            path_parts = image.path.relative_to(self._root).parts
            if len(path_parts) > 1:
                if path_parts[0] not in folders:
                    folders[path_parts[0]] = labels[folder_class_name(Path(path_parts[0]))]
                image_labels[image.id] = folders[path_parts[0]]
        return image_labels

    def warnings(self) -> Sequence[str]:
        """Return warnings about unread files, links out of `root`, test images and class names."""
        notes = [self._links] if self._links else []
        notes += _notes(self, self._listed)
        notes += class_notes(self.options.classes, self.class_names, self.context)
        return [*self._left_out.warnings(), *notes]

    def check_sending(self, address: str) -> None:
        """Raise `LatteError` if links leave `root`, unless option `follow_links` is true."""
        if self._links and not self.options.follow_links:
            raise LatteError(
                f"{self._links}; the describer would send images to {address}",
                where="dataset.root",
                hint="Remove the links, or allow it with the dataset's option: follow_links: true",
            )

    @cached_property
    def _links(self) -> str | None:
        """Warning that links lead to images outside `root`; None if no link does."""
        paths = ListedPaths(self._root, absolute=False)
        outside_images, images = [], self._training_images
        with long_task(self.context.progress, "check links", len(images), "images") as task:
            for image in images:
                if not paths.stays_inside(image.path):
                    outside_images.append(image)
                task.advance()
        if not outside_images:
            return None
        return (
            f"{len(outside_images):,} of {len(self._training_images):,} images are outside "
            f"{os.path.normpath(self._root)}, "
            f"where links lead, such as {outside_images[0].id}, which is "
            f"{outside_images[0].path.resolve()}"
        )

    @cached_property
    def _training_images(self) -> tuple[ImageReference, ...]:
        return images_below(self._root, "dataset.root", self._left_out, self.context.progress)

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        path = self._evaluation
        if path is None:
            return ()
        if is_folder(path):
            _refuse_nesting(path, self._root)
            labelled_images = labelled_tree(path, self._root, self.lookup, self._left_out)
        else:
            with _naming_columns("Rename the columns to path and class."):
                labelled_images = self._listed.labelled(path, self.lookup, "path", "class")
        return labelled_images


class _FromEither(ListedPaths):
    """Listed paths; a relative path is looked up in `root` first, then in `id_root`.

    Image ids are relative to `id_root`.
    """

    def __init__(self, root: Path, id_root: Path) -> None:
        super().__init__(root, absolute=True, id_root=id_root)
        self._below_id_root = ListedPaths(id_root, absolute=True)

    def reference(self, entry: str, where: str, series: str | None = None) -> ImageReference:
        image = super().reference(entry, where, series)
        if is_file(image.path):
            return image
        image_at_id_root = self._below_id_root.reference(entry, where, series)
        return image_at_id_root if is_file(image_at_id_root.path) else image


def _notes(source: ImageSource[Any], listed_paths: ListedPaths) -> Iterator[str]:
    """Yield warnings if test images are also training images, or if rows have no class."""
    training_ids = {image.id for image in source.training_images()}
    test_ids = [labelled_image.image.id for labelled_image in source.evaluation_images()]
    if own_images := sum(image in training_ids for image in test_ids):
        yield (
            f"{own_images:,} of {len(test_ids):,} test images are training images too (own "
            "images): they measure the result for these images. Their labels are not used for "
            "training"
        )
    if listed_paths.without_class:
        rows = listed_paths.without_class
        yield f"rows of test images without a class, which are left out: {rows:,}"


def _refuse_nesting(evaluation: Path, root: Path) -> None:
    evaluation_path, root_path = evaluation.resolve(), root.resolve()
    if evaluation_path.is_relative_to(root_path) or root_path.is_relative_to(evaluation_path):
        raise LatteError(
            f"{evaluation} and root {root} lie inside each other: training would see the "
            "evaluation images",
            where=_EVALUATION,
            hint="Put the labelled images beside root, or point root at the training folder alone.",
        )


@contextmanager
def _naming_columns(advice: str) -> Iterator[None]:
    """Add `advice` to the hint of a `MissingColumnError` that the `with` block raises."""
    try:
        yield
    except MissingColumnError as error:
        error.hint = f"{error.hint} {advice}"
        raise


class ListOptions(SourceOptions):
    """Options of dataset `list`: the files that list the images; paths may be absolute."""

    images: PathText = Field(
        description="CSV or JSONL file that names the training images; those with the same text in "
        "its column series, such as the frames of a video, count once"
    )
    root: PathText | None = Field(
        default=None, description="folder of relative paths; default: the folder of each file"
    )
    classes: ClassNames
    evaluation: PathText | None = Field(
        default=None,
        description="labelled images, which may be images too: a CSV or JSONL file, or a folder "
        "with one sub-folder per class",
    )
    path_column: str = Field(default="path", description="column that holds an image's path")
    class_column: str = Field(
        default="class",
        description="column with the true class. The file evaluation must have it; in the file "
        "images it is optional and only shown in reports",
    )


class ListDataset(ImageSource[ListOptions]):
    """Training images from one file, labelled evaluation images from another.

    Absolute paths are allowed, because the user wrote the files. Relative paths must stay below the
    root.
    """

    lists_quickly: ClassVar[bool] = True

    def __init__(self, options: ListOptions, context: Context) -> None:
        self._file = existing_file(context.path(options.images), "dataset.images")
        self._root = self._file.parent
        if options.root is not None:
            self._root = existing_folder(context.path(options.root), "dataset.root")
        self._evaluation, self._listed = None, ListedPaths(self._root, absolute=True)
        self._left_out = LeftOut()
        if options.evaluation is not None:
            path = context.path(options.evaluation)
            self._evaluation = path if is_folder(path) else existing_file(path, _EVALUATION)
            start = self._root if options.root is not None else self._evaluation.parent
            self._listed = ListedPaths(start, absolute=True, id_root=self._root)
        super().__init__(options, context, read_classes(options.classes, self._root, context))

    def training_images(self) -> Sequence[ImageReference]:
        """Return the images in the file `images`, sorted by id."""
        return self._training_images

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return the labelled images in the file `evaluation`, sorted by id; empty if not set."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """Return labels from the class column of `images`, for rows that have a class."""
        paths, lookup = ListedPaths(self._root, absolute=True), self.lookup
        labels = {}
        for row in iterate_rows(self._file):
            image = paths.reference(row.text(self.options.path_column), row.where)
            # A column `label` beside `class_column` may hold other values, such as numbers.
            has_class_column = self.options.class_column in row.values
            if has_class_column and (name := row.optional_text(self.options.class_column)):
                labels[image.id] = lookup.label(name, row.where)
        return labels

    @cached_property
    def _training_images(self) -> tuple[ImageReference, ...]:
        with _naming_columns(_OWN_COLUMNS):
            return ListedPaths(self._root, absolute=True).images(self._entries, self._file)

    def _entries(self) -> Iterator[tuple[str, str, str | None]]:
        for row in iterate_rows(self._file):
            yield row.text(self.options.path_column), row.where, row.series

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        if self._evaluation is None:
            return ()
        if is_folder(self._evaluation):
            return labelled_tree(self._evaluation, self._root, self.lookup, self._left_out)
        columns = (self.options.path_column, self.options.class_column)
        with _naming_columns(_OWN_COLUMNS):
            return self._listed.labelled(self._evaluation, self.lookup, *columns)

    def warnings(self) -> Sequence[str]:
        """Return warnings about the test images and the class names."""
        of_classes = class_notes(self.options.classes, self.class_names, self.context)
        notes = [*_notes(self, self._listed), *of_classes]
        return [*self._left_out.warnings(), *notes]


class CoopOptions(SourceOptions):
    """Options of dataset `coop`: train and val are used for training, test for evaluation."""

    split: PathText = Field(description="split_zhou_*.json")
    root: PathText = Field(description="folder at which the paths of the split start")
    lower: bool = Field(
        default=True, description="lower-case the class names (`_` is always read as a space)"
    )


class CoopDataset(SplitDataset[CoopOptions]):
    """Dataset of the images that a CoOp split file lists, with paths relative to `root`."""

    def __init__(self, options: CoopOptions, context: Context) -> None:
        file = existing_file(context.path(options.split), "dataset.split")
        root = existing_folder(context.path(options.root), "dataset.root")

        def spell(name: str) -> str:
            spaced_name = name.replace("_", " ")
            return spaced_name.lower() if options.lower else spaced_name

        super().__init__(options, context, read_splits(file), file=file, root=root, spell=spell)
