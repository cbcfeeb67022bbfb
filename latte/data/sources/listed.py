"""Images whose paths a list or split file contains; paths must stay below a root folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from latte.data.sources.class_lookup import ClassLookup
from latte.data.sources.tables import iterate_rows
from latte.data.sources.walk import LeftOut, list_images
from latte.interfaces import ImageReference, LabelledImage, LatteError, Progress, long_task
from latte.io.paths import is_file, path_as_text, path_from_text, some


def image_reference(path: Path, root: Path, series: str | None = None) -> ImageReference:
    """Return the image at `path` with an id relative to `root` (with `..` if it is outside).

    Bytes of a path that are not UTF-8 are escaped (`path_as_text`), because ids are text.
    """
    relative_path = Path(os.path.relpath(path, root)).as_posix()
    return ImageReference(id=path_as_text(relative_path), path=path, series=series)


class ListedPaths:
    """Converter of the paths in a list file to references to images below `root`.

    An untrusted file must not make latte read files outside the root, which a describer might then
    send to a server. So `..` and links that lead outside are refused. Absolute paths are allowed
    only if `absolute` is true, for files that the user wrote.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import ListedPaths
        >>> ListedPaths(Path("photos"), absolute=False).reference("cats/1.jpg", "list.csv:2").id
        'cats/1.jpg'
    """

    def __init__(self, root: Path, *, absolute: bool, id_root: Path | None = None) -> None:
        """Take paths as relative to `root`; make ids relative to `id_root`, by default `root`."""
        self.root = root
        self._real_root = root.resolve()
        self._absolute = absolute
        self._id_root = id_root or root
        self._inside: dict[Path, bool] = {}
        self.without_class: int = 0

    def reference(self, entry: str, where: str, series: str | None = None) -> ImageReference:
        """Return the image at path `entry`. Raises `LatteError` for a path that leaves the root."""
        if not entry.strip() or "\0" in entry:
            raise LatteError(f"{entry!r} is not a path", where=where)
        try:
            path = Path(path_from_text(entry, self.root))
        except ValueError:
            raise LatteError(f"{entry!r} is not a path", where=where) from None
        if ".." in path.parts:
            raise self._refusal(f"{entry!r} goes up with ..", where)
        if path.anchor and not self._absolute:
            raise self._refusal(f"{entry!r} is an absolute path", where)
        full_path = self.root / path
        if not path.anchor and not self.stays_inside(full_path):
            raise self._refusal(f"{entry!r} is a link that leads out of the root", where)
        return image_reference(full_path, self._id_root, series)

    def images(
        self, read_entries: Callable[[], Iterable[tuple[str, str, str | None]]], file: Path
    ) -> tuple[ImageReference, ...]:
        """Return the images of all entries of `file`, sorted by id.

        `read_entries()` yields each entry with its place in the file, and its series, if it has
        one. If an image is listed twice, it is called again to report the places, because storing a
        million places takes much memory.
        """
        images = [self.reference(*entry) for entry in read_entries()]
        if len({image.id for image in images}) < len(images):
            unique([(self.reference(*entry), entry[1]) for entry in read_entries()])
        refuse_all_missing(images, self.root, str(file))
        return by_id(images)

    def labelled(
        self, file: Path, lookup: ClassLookup, path_column: str, class_column: str
    ) -> tuple[LabelledImage, ...]:
        """Return the images of a CSV or JSONL file with their labels, sorted by id.

        Rows without a class are left out, and counted in `without_class`. Raises `LatteError` with
        the line of an unknown class, a bad path or an image listed twice.
        """
        labelled_images, places = [], []
        for row in iterate_rows(file):
            row.require(class_column)
            image = self.reference(row.text(path_column), row.where)
            name = (row.optional_text(class_column) or "").strip()
            if not name:
                self.without_class += 1
                continue
            labelled_images.append(LabelledImage(image, lookup.label(name, row.where)))
            places.append((image, row.where))
        if self.without_class and not labelled_images:
            raise LatteError(f"no row has a {class_column}", where=str(file))
        refuse_all_missing(unique(places), self.root, str(file))
        return labelled_by_id(labelled_images)

    def stays_inside(self, path: Path) -> bool:
        """Return True if `path` is still below the root after all links are resolved."""
        if path.parent not in self._inside:
            self._inside[path.parent] = self._leads_inside(path.parent)
        # Each folder is checked once, although it may hold thousands of images.
        return self._inside[path.parent] and (
            not os.path.islink(path) or self._leads_inside(path)  # noqa: PTH114 - takes any name
        )

    def _leads_inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self._real_root)
        except (OSError, RuntimeError):
            return True  # a loop of links or too long a name: reading the file raises an error

    def _refusal(self, what: str, where: str) -> LatteError:
        return LatteError(
            what, where=where, hint=f"Paths start at {self.root} and must stay below it."
        )


def unique(images: Sequence[tuple[ImageReference, str]]) -> list[ImageReference]:
    """Return the images of pairs (image, place where it is listed).

    Raises `LatteError` if an image occurs twice.
    """
    first_places: dict[str, str] = {}
    for image, where in images:
        if image.id in first_places:
            raise LatteError(
                f"{image.id} is listed twice",
                where=where,
                hint=f"It was named first at {first_places[image.id]}: remove one of the two.",
            )
        first_places[image.id] = where
    return [image for image, _ in images]


def refuse_all_missing(images: Sequence[ImageReference], root: Path, where: str) -> None:
    """Raise `LatteError` if no listed file exists. (A run skips single missing files.)"""
    if not images:
        raise LatteError("names no images", where=where)
    if not any(is_file(image.path) for image in images):
        raise LatteError(
            f"none of the {len(images)} images exists, such as {images[0].id}",
            where=where,
            hint=f"Paths start at {root}: is root right?",
        )


def labelled_tree(
    folder: Path, id_root: Path, lookup: ClassLookup, left_out: LeftOut | None = None
) -> tuple[LabelledImage, ...]:
    """Return the images of an ImageFolder tree, labelled by their subfolders and sorted by id.

    Files that are not read as images are added to `left_out`.
    Raises `LatteError` for a subfolder that is not a class, and for images outside subfolders.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import ClassLookup
        >>> from latte.api.sources import labelled_tree
        >>> Path("test/cat").mkdir(parents=True)
        >>> Path("test/cat/1.jpg").touch()
        >>> images = labelled_tree(Path("test"), Path(), ClassLookup(["dog", "cat"]))
        >>> [image.label for image in images]
        [1]
    """
    paths = list_images(folder, str(folder), left_out)
    inner_names = [path.relative_to(folder).parts for path in paths]
    stray_files = [names[0] for names in inner_names if len(names) == 1]
    if stray_files:
        raise LatteError(
            f"images lie beside the class folders: {some(sorted(stray_files))}",
            where=str(folder),
            hint="Every labelled image belongs in the folder of its class.",
        )
    labels = {name: lookup.label(name, str(folder / name)) for name, *_ in inner_names}
    pairs = zip(paths, inner_names, strict=True)
    return labelled_by_id(
        [LabelledImage(image_reference(path, id_root), labels[name]) for path, (name, *_) in pairs]
    )


def images_below(
    root: Path, where: str, left_out: LeftOut | None = None, progress: Progress | None = None
) -> tuple[ImageReference, ...]:
    """Return every image below `root`, sorted by id. Raises `LatteError` if there is none.

    Files that are not read as images are added to `left_out`. If there are many images, `progress`
    shows how many are listed.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import images_below
        >>> Path("photos/cats").mkdir(parents=True)
        >>> Path("photos/cats/1.jpg").touch()
        >>> [image.id for image in images_below(Path("photos"), "dataset.root")]
        ['cats/1.jpg']
    """
    paths, images = list_images(root, where, left_out), []
    with long_task(progress, "list images", len(paths), "images") as task:
        for path in paths:
            images.append(image_reference(path, root))
            task.advance()
    return by_id(images)


def by_id(images: Iterable[ImageReference]) -> tuple[ImageReference, ...]:
    """Sort images by id, so that their order depends on neither labels nor the file system."""
    return tuple(sorted(images, key=lambda image: image.id))


def labelled_by_id(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    """Sort labelled images by id."""
    return tuple(sorted(images, key=lambda labelled: labelled.image.id))
