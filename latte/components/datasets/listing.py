"""Images named in a CSV or JSONL file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field

from latte.api import ClassLookup, Context, ImageReference, LabelledImage, PathText, SourceOptions
from latte.api.sources import (
    CLASSES_HELP,
    ClassNames,
    ImageSource,
    ListedPaths,
    Row,
    by_id,
    existing_file,
    existing_folder,
    iterate_rows,
    labelled_list,
    read_classes,
    refuse_all_missing,
    refuse_overlap,
    shown,
    unique,
)


class ListOptions(SourceOptions):
    """Images named in a file that the user wrote, so it may name absolute paths."""

    images: PathText = Field(description="CSV or JSONL file that names the training images")
    root: PathText | None = Field(
        default=None, description="where relative paths start; default: the folder of each file"
    )
    classes: ClassNames = Field(description=CLASSES_HELP)
    evaluation: PathText | None = Field(
        default=None, description="CSV or JSONL file with labelled images that are not in images"
    )
    path_column: str = Field(default="path", description="column that holds an image's path")
    class_column: str = Field(
        default="class",
        description="column with the true class: needed in evaluation; in images, where present, "
        "only shown in reports",
    )


class ListDataset(ImageSource[ListOptions]):
    """Training images from one list, labelled ones from another.

    The user wrote the lists, so absolute paths are taken as they are; relative paths stay below
    the root.
    """

    def __init__(self, options: ListOptions, context: Context) -> None:
        self._file = existing_file(context.path(options.images), "dataset.images")
        self._root = self._file.parent
        if options.root is not None:
            self._root = existing_folder(context.path(options.root), "dataset.root")
        self._evaluation = _evaluation_file(options, context)
        classes = read_classes(options.classes, self._root, context)
        super().__init__(options, context, shown(classes), classes)

    def training_images(self) -> Sequence[ImageReference]:
        """The images of `images`, sorted by id."""
        return self._training_images

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """The labelled images of `evaluation`, sorted by id; none without it."""
        return self._evaluation_images

    def audit_labels(self) -> Mapping[str, int]:
        """What the class column of `images` says, where there is one and it is filled."""
        lookup = ClassLookup(self.class_names, self.class_aliases)
        column, labels = self.options.class_column, {}
        for image, row in self._rows():
            name = row.optional_text(column)
            if name:
                labels[image.id] = lookup.label(name, row.where)
        return labels

    def _rows(self) -> Iterator[tuple[ImageReference, Row]]:
        paths = ListedPaths(self._root, absolute=True)
        for row in iterate_rows(self._file):
            yield paths.reference(row.text(self.options.path_column), row.where), row

    @cached_property
    def _training_images(self) -> tuple[ImageReference, ...]:
        images = [image for image, _ in self._rows()]
        if len({image.id for image in images}) < len(images):
            unique([(image, row.where) for image, row in self._rows()])
        refuse_all_missing(images, self._root, str(self._file))
        return by_id(images)

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        if self._evaluation is None:
            return ()
        start = self._root if self.options.root is not None else self._evaluation.parent
        labelled = labelled_list(
            self._evaluation,
            ListedPaths(start, absolute=True, id_root=self._root),
            ClassLookup(self.class_names, self.class_aliases),
            self.options.path_column,
            self.options.class_column,
        )
        refuse_overlap(self._training_images, labelled, "dataset.evaluation")
        return labelled


def _evaluation_file(options: ListOptions, context: Context) -> Path | None:
    if options.evaluation is None:
        return None
    return existing_file(context.path(options.evaluation), "dataset.evaluation")
