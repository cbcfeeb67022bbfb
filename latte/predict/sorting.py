"""Sort classified images into one folder per class. Imports no torch."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from latte.interfaces import LatteError
from latte.io.files import (
    digest,
    make_folder,
    remove_leftovers,
    rename_to_unused,
    sync_folder,
    temporary_name,
)
from latte.io.paths import LONGEST_NAME, distinct_names, path_from_text, shortened
from latte.io.system import flush

if TYPE_CHECKING:  # this import loads torch, and `refuse_inside` is called before that
    from latte.evaluate.predictions import Prediction

UNKNOWN = "unknown"
"""Folder for images that are predicted to show none of the classes."""
UNCERTAIN = "uncertain"
"""Folder for images whose likeliest class has a confidence below `min_confidence`."""


class Sorter:
    """Sorter that copies images, or makes links to them, in a folder with a sub-folder per class.

    No existing file is overwritten, and no image is moved or deleted.
    """

    def __init__(
        self,
        folder: Path,
        class_names: Sequence[str],
        *,
        link: bool = False,
        min_confidence: float = 0.0,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Prepare to sort images into sub-folders of `folder`.

        `warn` is called for the first image that is already in another sub-folder.
        """
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.present: int = 0
        """Number of images that were already in their sub-folder."""
        self.elsewhere: int = 0
        """Number of images that an earlier call put into another sub-folder."""
        self._names = distinct_names(class_names, reserved=(UNKNOWN, UNCERTAIN))
        self._link = link
        self._min_confidence = min_confidence
        self._warn = warn
        self._earlier: dict[str, list[str]] = {}
        """The sub-folders that contain a file, by file name."""
        self._cleaned: set[str] = set()
        """The sub-folders from which this object has removed the files of killed calls."""
        for name in sorted({*self._names, UNKNOWN, UNCERTAIN}):
            with suppress(OSError), os.scandir(folder / name) as entries:
                for entry in entries:
                    self._earlier.setdefault(entry.name, []).append(name)

    def write(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield each prediction after its image was sorted. Raises `LatteError` if that fails."""
        for row in rows:
            name = self._name(row)
            self.present += not self._place(Path(path_from_text(row.image)), self._subfolder(name))
            self.counts[name] += 1
            yield row
        for subfolder in self._cleaned:
            sync_folder(self.folder / subfolder)

    def summary(self) -> str:
        """Return a line with the numbers of sorted images."""
        classless = self.counts[UNKNOWN] + self.counts[UNCERTAIN]
        count_texts = [f"{self.counts.total() - classless} by class"]
        count_texts += [f"{self.counts[name]} {name}" for name in (UNKNOWN, UNCERTAIN)]
        present_text = f"; {self.present} were there already" if self.present else ""
        elsewhere_text = (
            f"; {self.elsewhere} are in another sub-folder, too" if self.elsewhere else ""
        )
        return f"sorted into {self.folder}: {', '.join(count_texts)}{present_text}{elsewhere_text}"

    def _name(self, row: Prediction) -> str:
        if row.label < 0:  # the label of `none of these`
            return UNKNOWN
        return UNCERTAIN if row.confidence < self._min_confidence else self._names[row.label]

    def _subfolder(self, name: str) -> Path:
        subfolder = self.folder / name
        try:
            make_folder(subfolder)
        except OSError as error:
            raise _failed(subfolder, error) from error
        if subfolder.resolve().parent != self.folder.resolve():
            what = "this link leads out of the folder to sort into"
            raise LatteError(what, where=str(subfolder), hint="remove it, or give another folder")
        if name not in self._cleaned:
            remove_leftovers(subfolder)
            self._cleaned.add(name)
        return subfolder

    def _place(self, image: Path, folder: Path) -> bool:
        """Put the image into `folder`; return False if a file with its content is already there."""
        try:
            key = digest(image.read_bytes())
            self._count_elsewhere(image, key, folder)
            for name in _possible_names(image, key):
                target = folder / name
                if not os.path.lexists(target) and self._write(image, target):
                    return True
                if target.is_file() and filecmp.cmp(image, target, shallow=False):
                    return False
        except OSError as error:
            raise _failed(folder / image.name, error) from error
        raise LatteError("other files have all names for this image", where=str(folder / name))

    def _count_elsewhere(self, image: Path, key: str, folder: Path) -> None:
        """Count the image if a sub-folder other than `folder` already contained it.

        The first such image causes a warning.
        """
        copies = (
            self.folder / subfolder / name
            for name in _possible_names(image, key)
            for subfolder in self._earlier.get(name, ())
            if subfolder != folder.name
        )
        same_files = (
            copy for copy in copies if copy.is_file() and filecmp.cmp(image, copy, shallow=False)
        )
        earlier_copy = next(same_files, None)
        if earlier_copy and not self.elsewhere:
            self._warn(
                f"warning: {earlier_copy}: an earlier sorting put this image into another "
                f"folder than {folder.name}, so that it will be in both\n"
                "  sort into a new folder, or delete this one first"
            )
        self.elsewhere += earlier_copy is not None

    def _write(self, image: Path, target: Path) -> bool:
        """Write the image to `target`; return False if another process has just created `target`.

        A copy is complete, and on the disk, before it gets its name.
        """
        if self._link:
            try:
                target.symlink_to(image.absolute())
            except FileExistsError:
                return False
            return True
        temporary = temporary_name(target)
        try:
            shutil.copy2(image, temporary)
            flush(temporary)
            return rename_to_unused(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def refuse_inside(folder: Path, images: str) -> None:
    """Raise `LatteError` if `folder` is inside the folder `images`, or is a file."""
    source = Path(images)
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        what = f"the folder to sort into is inside {images}, whose images are read"
        raise LatteError(what, where=str(folder), hint="give a folder outside of it")
    if folder.exists() and not folder.is_dir():
        raise LatteError("this is a file, not a folder", where=str(folder))


def _possible_names(image: Path, key: str) -> Iterator[str]:
    """Yield file names to try: the image's own name, then the name with a hash of the content."""
    suffix = shortened(image.suffix, LONGEST_NAME // 4)
    stem = shortened(image.stem, LONGEST_NAME - len(os.fsencode(suffix)) - len(key) - 1)
    yield f"{stem}{suffix}"
    for length in (8, len(key)):
        yield f"{stem}-{key[:length]}{suffix}"


def _failed(path: Path, error: OSError) -> LatteError:
    where = str(error.filename or path)
    return LatteError(f"cannot be sorted: {error.strerror or error}", where=where)
