"""Building blocks for datasets that read files and folders; this module does not load torch."""

from latte.data.sources.class_lookup import CLASS_FOLDERS
from latte.data.sources.classes import (
    ClassNames,
    class_notes,
    folder_class_name,
    read_classes,
)
from latte.data.sources.listed import ListedPaths, images_below, labelled_tree
from latte.data.sources.source import ImageSource
from latte.data.sources.splits import Entry, SplitDataset, Splits, read_splits
from latte.data.sources.tables import MissingColumnError, iterate_rows
from latte.data.sources.walk import LeftOut, list_folders, list_images
from latte.io.paths import (
    existing_file,
    existing_folder,
    is_file,
    is_folder,
    read_text,
    some,
    visible_entries,
)

__all__ = [
    "CLASS_FOLDERS",
    "ClassNames",
    "Entry",
    "ImageSource",
    "LeftOut",
    "ListedPaths",
    "MissingColumnError",
    "SplitDataset",
    "Splits",
    "class_notes",
    "existing_file",
    "existing_folder",
    "folder_class_name",
    "images_below",
    "is_file",
    "is_folder",
    "iterate_rows",
    "labelled_tree",
    "list_folders",
    "list_images",
    "read_classes",
    "read_splits",
    "read_text",
    "some",
    "visible_entries",
]
