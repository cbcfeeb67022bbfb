"""Labelled images: from a list, or from a tree with one sub-folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latte.data.sources.classes import ClassLookup
from latte.data.sources.listed import ListedPaths, image_reference, refuse_all_missing, unique
from latte.data.sources.paths import some
from latte.data.sources.tables import read_rows
from latte.data.sources.walk import list_images
from latte.interfaces import ImageReference, LabelledImage, LatteError


def labelled_list(
    file: Path, paths: ListedPaths, lookup: ClassLookup, path_column: str, class_column: str
) -> tuple[LabelledImage, ...]:
    """The images of a CSV or JSONL file with their labels, sorted by id.

    Raises `LatteError` with the line of an unknown class, a bad path or an image listed twice.
    """
    labelled, places = [], []
    for row in read_rows(file):
        image = paths.reference(row.text(path_column), row.where)
        labelled.append(LabelledImage(image, lookup.label(row.text(class_column), row.where)))
        places.append((image, row.where))
    refuse_all_missing(unique(places), paths.root, str(file))
    return labelled_by_id(labelled)


def labelled_tree(folder: Path, id_root: Path, lookup: ClassLookup) -> tuple[LabelledImage, ...]:
    """The images of an ImageFolder tree with the labels that its sub-folders name, sorted by id.

    Raises `LatteError` for a sub-folder that is no class, and for images in no sub-folder.
    """
    paths = list_images(folder, str(folder))
    inner = [path.relative_to(folder).parts for path in paths]
    stray = [parts[0] for parts in inner if len(parts) == 1]
    if stray:
        raise LatteError(
            f"images lie beside the class folders: {some(sorted(stray))}",
            where=str(folder),
            hint="Every labelled image belongs in the folder of its class.",
        )
    labels = {name: lookup.label(name, str(folder / name)) for name, *_ in inner}
    return labelled_by_id(
        [
            LabelledImage(image_reference(path, id_root), labels[parts[0]])
            for path, parts in zip(paths, inner, strict=True)
        ]
    )


def refuse_overlap(
    training: Sequence[ImageReference], evaluation: Sequence[LabelledImage], where: str
) -> None:
    """Evaluation images that training sees would measure memory: raise `LatteError`."""
    known = {image.id for image in training}
    shared = [labelled.image.id for labelled in evaluation if labelled.image.id in known]
    if shared:
        raise LatteError(
            f"{len(shared)} evaluation images are training images too, such as {shared[0]}",
            where=where,
            hint="Take them out of one of the two.",
        )


def labelled_by_id(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    """Sorted as training images are."""
    return tuple(sorted(images, key=lambda labelled: labelled.image.id))
