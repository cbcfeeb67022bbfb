"""Images and labels from the paths in a list or split file, or from the folders of a tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from latte.data.sources.classes import ClassLookup
from latte.data.sources.tables import read_rows
from latte.data.sources.walk import list_images
from latte.interfaces import ImageReference, LabelledImage, LatteError
from latte.io.paths import is_file, some


def image_reference(path: Path, root: Path) -> ImageReference:
    """Return the image at `path`; its id is the path relative to `root`, with `..` if outside.

    Ids are stored as text, so bytes of a name that are not UTF-8 are escaped.
    """
    relative = Path(os.path.relpath(path, root)).as_posix()
    name = relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return ImageReference(id=name, path=path)


class ListedPaths:
    """Turn the paths in a file into images below `root`.

    An untrusted file must not make latte read other files, or send them to a describer. So `..`
    and links that lead out of the root are rejected, and so are absolute paths, unless `absolute`
    says that the user wrote the file.
    """

    def __init__(self, root: Path, *, absolute: bool, id_root: Path | None = None) -> None:
        """Ids are relative to `id_root`, by default to `root`."""
        self.root = root
        self._real_root = root.resolve()
        self._absolute = absolute
        self._id_root = id_root or root
        self._inside: dict[Path, bool] = {}

    def reference(self, entry: str, where: str) -> ImageReference:
        """Return the image at `entry`. Raises `LatteError` for a path that leaves the root."""
        path = Path(entry)
        if not entry.strip() or "\0" in entry or not _is_file_name(entry):
            raise LatteError(f"{entry!r} is not a path", where=where)
        if ".." in path.parts:
            raise self._refusal(f"{entry!r} goes up with ..", where)
        if path.anchor and not self._absolute:
            raise self._refusal(f"{entry!r} is an absolute path", where)
        full = self.root / path
        if not path.anchor and not self._stays_inside(full):
            raise self._refusal(f"{entry!r} is a link that leads out of the root", where)
        return image_reference(full, self._id_root)

    def _stays_inside(self, path: Path) -> bool:
        if path.parent not in self._inside:
            self._inside[path.parent] = self._leads_inside(path.parent)
        # Each folder is resolved once, however many images it holds.
        return self._inside[path.parent] and (
            not os.path.islink(path) or self._leads_inside(path)  # noqa: PTH114 - takes any name
        )

    def _leads_inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self._real_root)
        except (OSError, RuntimeError):
            return True  # a loop of links or too long a name: reading it raises the error

    def _refusal(self, what: str, where: str) -> LatteError:
        return LatteError(
            what, where=where, hint=f"Paths start at {self.root} and must stay below it."
        )


def _is_file_name(text: str) -> bool:
    """Return False for lone surrogates, which JSON can hold and no file system can."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def unique(images: Sequence[tuple[ImageReference, str]]) -> list[ImageReference]:
    """Return the images of pairs of image and place. Raises `LatteError` for a repeated id."""
    first: dict[str, str] = {}
    for image, where in images:
        if image.id in first:
            raise LatteError(
                f"{image.id} is listed twice",
                where=where,
                hint=f"It was named first at {first[image.id]}: remove one of the two.",
            )
        first[image.id] = where
    return [image for image, _ in images]


def refuse_all_missing(images: Sequence[ImageReference], root: Path, where: str) -> None:
    """Raise `LatteError` if no image exists, which means that the root is wrong.

    Single missing images are skipped when they are read.
    """
    if not images:
        raise LatteError("names no images", where=where)
    if not any(is_file(image.path) for image in images):
        raise LatteError(
            f"none of the {len(images)} images exists, such as {images[0].id}",
            where=where,
            hint=f"Paths start at {root}: is root right?",
        )


def labelled_list(
    file: Path, paths: ListedPaths, lookup: ClassLookup, path_column: str, class_column: str
) -> tuple[LabelledImage, ...]:
    """Return the images of a CSV or JSONL file with their labels, sorted by id.

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
    """Return the images of an ImageFolder tree, labelled by its sub-folders, sorted by id.

    Raises `LatteError` for a sub-folder that is not a class, or an image in no sub-folder.
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
    """Raise `LatteError` if any evaluation image is a training image too."""
    known = {image.id for image in training}
    shared = [labelled.image.id for labelled in evaluation if labelled.image.id in known]
    if shared:
        raise LatteError(
            f"{len(shared)} evaluation images are training images too, such as {shared[0]}",
            where=where,
            hint="Take them out of one of the two.",
        )


def labelled_by_id(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    """Sort labelled images by id, as `by_id` sorts images."""
    return tuple(sorted(images, key=lambda labelled: labelled.image.id))
