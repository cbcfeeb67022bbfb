"""What datasets that read files and folders are made of.

Importing this loads neither torch nor images.
"""

from latte.data.source_options import CLASS_FOLDERS, CLASSES_HELP, ClassNames, several_templates
from latte.data.sources.base import ImageSource, by_id
from latte.data.sources.classes import folder_class_name, read_classes, shown
from latte.data.sources.listed import (
    ListedPaths,
    image_reference,
    labelled_list,
    labelled_tree,
    refuse_all_missing,
    refuse_overlap,
    unique,
)
from latte.data.sources.splits import (
    SPLIT_NAMES,
    Entry,
    SplitDataset,
    Splits,
    names_by_label,
    read_splits,
)
from latte.data.sources.tables import Row, iterate_rows
from latte.data.sources.walk import list_folders, list_images
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
    "CLASSES_HELP",
    "CLASS_FOLDERS",
    "SPLIT_NAMES",
    "ClassNames",
    "Entry",
    "ImageSource",
    "ListedPaths",
    "Row",
    "SplitDataset",
    "Splits",
    "by_id",
    "existing_file",
    "existing_folder",
    "folder_class_name",
    "image_reference",
    "is_file",
    "is_folder",
    "iterate_rows",
    "labelled_list",
    "labelled_tree",
    "list_folders",
    "list_images",
    "names_by_label",
    "read_classes",
    "read_splits",
    "read_text",
    "refuse_all_missing",
    "refuse_overlap",
    "several_templates",
    "shown",
    "some",
    "unique",
    "visible_entries",
]
