"""Datasets `list` and `coop`: images that a CSV, JSONL or CoOp split file lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

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
    ClassNames,
    ImageSource,
    ListedPaths,
    SplitDataset,
    existing_file,
    existing_folder,
    iterate_rows,
    read_classes,
    read_splits,
)

_OWN_COLUMNS = "Name yours in the recipe, as in: path_column: NAME, class_column: NAME"


@contextmanager
def naming_columns(advice: str) -> Iterator[None]:
    """If the `with` block raises an error about a missing column, add `advice` to its hint."""
    try:
        yield
    except LatteError as error:
        if not error.what.startswith("no column "):
            raise
        hint = f"{error.hint} {advice}"
        raise LatteError(error.what, where=error.where, hint=hint) from error


class ListOptions(SourceOptions):
    """Options of dataset `list`: the files that list the images; paths may be absolute."""

    images: PathText = Field(description="CSV or JSONL file that names the training images")
    root: PathText | None = Field(
        default=None, description="folder of relative paths; default: the folder of each file"
    )
    classes: ClassNames
    evaluation: PathText | None = Field(
        default=None, description="CSV or JSONL file with labelled images that are not in images"
    )
    path_column: str = Field(default="path", description="column that holds an image's path")
    class_column: str = Field(
        default="class",
        description="column with the true class. The file evaluation must have it; in the file "
        "images it is optional and only shown in reports",
    )


class ListDataset(ImageSource[ListOptions]):
    """Training images from one file, labelled evaluation images from another.

    Absolute paths are allowed, because the user wrote the files; relative paths must stay below the
    root.
    """

    def __init__(self, options: ListOptions, context: Context) -> None:
        self._file = existing_file(context.path(options.images), "dataset.images")
        self._root = self._file.parent
        if options.root is not None:
            self._root = existing_folder(context.path(options.root), "dataset.root")
        self._evaluation = None
        if options.evaluation is not None:
            path = context.path(options.evaluation)
            self._evaluation = existing_file(path, "dataset.evaluation")
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
            name = row.optional_text(self.options.class_column)
            if name:
                labels[image.id] = lookup.label(name, row.where)
        return labels

    @cached_property
    def _training_images(self) -> tuple[ImageReference, ...]:
        with naming_columns(_OWN_COLUMNS):
            return ListedPaths(self._root, absolute=True).images(self._entries, self._file)

    def _entries(self) -> Iterator[tuple[str, str]]:
        for row in iterate_rows(self._file):
            yield row.text(self.options.path_column), row.where

    @cached_property
    def _evaluation_images(self) -> tuple[LabelledImage, ...]:
        if self._evaluation is None:
            return ()
        start = self._root if self.options.root is not None else self._evaluation.parent
        paths = ListedPaths(start, absolute=True, id_root=self._root)
        columns = (self.options.path_column, self.options.class_column)
        with naming_columns(_OWN_COLUMNS):
            labelled = paths.labelled(self._evaluation, self.lookup, *columns)
        self.refuse_overlap(labelled, "dataset.evaluation")
        return labelled


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
            spaced = name.replace("_", " ")
            return spaced.lower() if options.lower else spaced

        super().__init__(options, context, read_splits(file), file=file, root=root, spell=spell)
