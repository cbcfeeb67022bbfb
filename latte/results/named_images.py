"""Find images by the names that people and tools give them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from latte.interfaces import ImageReference, LatteError
from latte.interfaces.errors import did_you_mean
from latte.io.files import digest
from latte.io.paths import is_file, path_as_text, path_from_text, some
from latte.results.stored import explained


class NamedImages:
    """Content keys of images, by the names that people and tools give the images.

    An image of the run is found by its id, in any Unicode form, by its path, by its file name if no
    other image has it, by the name without suffix that FiftyOne uses, or by its content. Other
    images are found by their paths, and are collected in `examples`.
    """

    def __init__(
        self, keys: Mapping[str, str], references: Callable[[], Iterable[ImageReference]]
    ) -> None:
        """Find images by `keys`, the content keys of the run's images by id.

        `references` returns all images of the dataset, some of which may not be in `keys`; it is
        called at the first name that is no id.
        """
        self._keys = keys
        self._by_form = {_composed(image): key for image, key in keys.items()}
        self._references = references
        self.examples: dict[str, ImageReference] = {}
        """Images that are not in `keys`, by content key."""

    def __contains__(self, key: str) -> bool:
        """Return True if an image of the run has the content key `key`."""
        return key in self._contents

    def key(self, name: str, where: str, folder: Path) -> str:
        """Return the content key of the image `name`; a relative path may start at `folder`.

        Raises `LatteError` if there is no such image.
        """
        key = self._keys.get(name) or self._by_form.get(_composed(name))
        if key is not None:
            return key
        for path in _paths(name, folder):
            key = self._by_place.get(_place(path))
            if key is not None:
                return key
            if is_file(Path(path)):
                return self.key_of_file(Path(path))
        image = self._image_named(_composed(name), where)
        if key := self._by_form.get(image):
            return key
        if reference := self._unused.get(image):
            return self._example(reference)
        hint = did_you_mean(name, self._keys) or (
            "name an image as in pseudo_labels.csv, or by a path that starts at the current folder "
            f"or at {folder}"
        )
        raise LatteError(f'there is no image "{name}"', where=where, hint=hint)

    def _image_named(self, name: str, where: str) -> str:
        """Return the id of the image with the file name `name`; `name` if no image has it.

        Raises `LatteError` if several images have it.
        """
        images = self._by_file_name.get(name, [name])
        if len(images) > 1 and name not in self._unused:
            raise LatteError(
                f'"{name}" is the file name of several images: {some(images)}',
                where=where,
                hint=f"write the folder, too, such as {images[0]} or {images[1]}",
            )
        return name if name in self._unused else images[0]

    def key_without_suffix(self, name: str, where: str, folder: Path) -> str:
        """Return the content key of the image whose path or file name without suffix is `name`."""
        return self._by_stem.get(_composed(name)) or self.key(name, where, folder)

    def key_of_file(self, path: Path) -> str:
        """Return the content key of the file `path`, which may be a copy of an image of the run."""
        name = path_as_text(os.path.normpath(path))
        return self._example(ImageReference(f"examples/{name}", path))

    def _example(self, image: ImageReference) -> str:
        with explained(image.path, "remove it, or check its permissions"):
            key = digest(image.read_bytes())
        if key not in self._contents:
            self.examples.setdefault(key, image)
        return key

    @cached_property
    def _contents(self) -> frozenset[str]:
        return frozenset(self._keys.values())

    @cached_property
    def _unused(self) -> dict[str, ImageReference]:
        """Images of the dataset that the run leaves out, by id in Unicode form NFC."""
        return {
            _composed(reference.id): reference
            for reference in self._references()
            if reference.id not in self._keys
        }

    @cached_property
    def _by_file_name(self) -> dict[str, list[str]]:
        """Ids of all images of the dataset in Unicode form NFC, sorted, by file name."""
        images: dict[str, list[str]] = {}
        for image in sorted({*self._by_form, *self._unused}):
            images.setdefault(PurePosixPath(image).name, []).append(image)
        return images

    @cached_property
    def _by_place(self) -> dict[str, str]:
        """Content keys by absolute path, without images in archives."""
        return {
            _place(str(reference.path)): self._keys[reference.id]
            for reference in self._references()
            if reference.span is None and reference.id in self._keys
        }

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        """Content keys by path and by file name without suffix, without ambiguous names."""
        keys_by_name: dict[str, set[str]] = {}
        for image, key in self._keys.items():
            path = PurePosixPath(image)
            for name in (str(path.with_suffix("")), path.stem):
                keys_by_name.setdefault(_composed(name), set()).add(key)
        return {name: keys.pop() for name, keys in keys_by_name.items() if len(keys) == 1}


def _paths(name: str, folder: Path) -> list[str]:
    """Return the paths that `name` can mean: from `folder`, or from the working directory."""
    try:
        path = Path(path_from_text(name, folder)).expanduser()
    except (ValueError, RuntimeError):
        return []
    if not name.strip() or "\0" in name:
        return []
    return [str(path)] if path.is_absolute() else [str(folder / path), str(Path.cwd() / path)]


def _composed(name: str) -> str:
    """Return a name in Unicode form NFC; some tools write a letter and its accent apart (NFD)."""
    return unicodedata.normalize("NFC", name)


def _place(path: str) -> str:
    """Return an absolute path as text, with links of its folder resolved."""
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - keeps links
    return _composed(path_as_text(os.path.join(os.path.realpath(folder), name)))  # noqa: PTH118
