"""Search for images below a folder: links are followed, and hidden files are left out."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from latte.data.few_images import counted
from latte.data.formats import (
    HEAD_BYTES,
    IMAGE_SUFFIXES,
    UNREAD_SUFFIXES,
    suffix_by_content,
)
from latte.interfaces import ImageReference, LatteError
from latte.io.paths import is_folder, visible_entries

_SHOWN = 6
_SENTENCES = {
    "unread": "left out {files} in image formats that are not read, such as {example}: convert "
    "them to JPEG or PNG",
    "misnamed": "left out {files} with the content but not the name of an image, such as {example}",
    "other": "left out {files}",
}


class LeftOut:
    """Counts, by suffix, of files that are not read as images; some of them may be images.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import LeftOut
        >>> left_out = LeftOut()
        >>> left_out.add(Path("photos/1.cr2"))
        >>> left_out.images
        1
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in _SENTENCES}
        self._examples: dict[str, str] = {}
        self.reasons: list[tuple[Path, str]] = []
        """The files that look like images, each with the reason why it is not read."""

    def add(self, path: Path) -> None:
        """Count a file whose suffix is not read; its first bytes may show that it is an image."""
        kind, suffix = "other", path.suffix.lower() or "without suffix"
        if suffix in UNREAD_SUFFIXES:
            kind = "unread"
            self._examples.setdefault(kind, os.path.normpath(path))
            self.reasons.append((path, "this format is not read: convert it to JPEG or PNG"))
        elif right_suffix := _suffix_by_content(path):
            kind = "misnamed"
            self.reasons.append(
                (path, f"it has not the name of an image: name it with {right_suffix}")
            )
            self._examples.setdefault(
                kind, f"{os.path.normpath(path)}: name it with {right_suffix}"
            )
        self._counts[kind][suffix] += 1

    def update(self, left_out: LeftOut) -> None:
        """Add the counts of `left_out` to these counts."""
        for kind, counts in left_out._counts.items():
            self._counts[kind].update(counts)
        self._examples = {**left_out._examples, **self._examples}
        self.reasons += left_out.reasons

    @property
    def images(self) -> int:
        """Number of files that look like images but are not read."""
        return self._counts["unread"].total() + self._counts["misnamed"].total()

    def warnings(self) -> list[str]:
        """Return one sentence per kind of file, with counts by suffix, an example and a remedy."""
        return [
            _SENTENCES[kind].format(
                files=_counted(counts, "other " if kind == "other" else ""),
                example=self._examples.get(kind),
            )
            for kind, counts in self._counts.items()
            if counts
        ]


def _counted(counts: Counter[str], kind: str) -> str:
    kinds = [f"{count:,} {suffix}" for suffix, count in counts.most_common(_SHOWN)]
    if len(counts) > _SHOWN:
        kinds.append(f"{len(counts) - _SHOWN} more kinds")
    return f"{counted(counts.total(), f'{kind}file')} ({', '.join(kinds)})"


def _suffix_by_content(path: Path) -> str | None:
    try:
        return suffix_by_content(ImageReference(path.name, path, (0, HEAD_BYTES)).read_bytes())
    except OSError:
        return None


_SORTED_AT_ONCE = 10_000


def list_images(root: Path, where: str, left_out: LeftOut | None = None) -> list[Path]:
    """Return all files below `root` with an image suffix. Raises `LatteError` if there are none.

    The files are not sorted. Hidden files and folders are skipped and not reported. Links are
    followed, and a folder is listed once even if several links lead to it. A broken link, a pipe or
    a device with an image suffix is listed; reading it raises an error. Visible files without an
    image suffix are added to `left_out`.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import list_images
        >>> Path("photos").mkdir()
        >>> Path("photos/1.jpg").touch()
        >>> [path.name for path in list_images(Path("photos"), "dataset.root")]
        ['1.jpg']
    """
    skipped_files = LeftOut()
    images = list(iterate_images(root, left_out=skipped_files))
    if not images:
        raise LatteError(
            f"no images below {root}",
            where=where,
            hint="\n  ".join(skipped_files.warnings())
            or f"Files that end in {', '.join(sorted(IMAGE_SUFFIXES))} are read.",
        )
    if left_out is not None:
        left_out.update(skipped_files)
    return images


def iterate_images(
    root: Path,
    unlisted: Callable[[LatteError], None] | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Path]:
    """Yield visible files below `root` with an image suffix; add the others to `left_out`."""
    for path in files_below(root, unlisted):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield path
        elif left_out is not None:
            left_out.add(path)


def list_folders(root: Path) -> list[Path]:
    """Return the subfolders of `root` that are not hidden, sorted by name.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import list_folders
        >>> Path("photos/cats").mkdir(parents=True)
        >>> [folder.name for folder in list_folders(Path("photos"))]
        ['cats']
    """
    paths = [Path(entry.path) for entry in visible_entries(root)]
    return [path for path in paths if is_folder(path)]


def files_below(root: Path, unlisted: Callable[[LatteError], None] | None = None) -> Iterator[Path]:
    """Yield all visible files below `root`; the content of linked folders comes last.

    The entries of a folder are sorted by name, in chunks of 10,000 to bound the memory. `unlisted`
    is called with a `LatteError` for each folder that cannot be listed; without it, the error is
    raised.
    """
    # Linked folders come last, so that a folder below `root` is found by its real path.
    linked_folders = deque([root])
    visited: set[tuple[int, int]] = set()
    while linked_folders:
        open_folders = [_entries(linked_folders.popleft(), visited, unlisted)]
        while open_folders:
            entry = next(open_folders[-1], None)
            if entry is None:
                open_folders.pop()
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                open_folders.append(_entries(path, visited, unlisted))
            elif entry.is_symlink() and is_folder(path):
                linked_folders.append(path)
            else:
                yield path


def _entries(
    folder: Path, visited: set[tuple[int, int]], unlisted: Callable[[LatteError], None] | None
) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of `folder` that are not hidden; none if the folder is in `visited`."""
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in visited:
            return
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            visible = (entry for entry in entries if not entry.name.startswith("."))
            while part := list(islice(visible, _SORTED_AT_ONCE)):
                yield from sorted(part, key=lambda entry: entry.name)
    except OSError as error:
        failure = LatteError(f"cannot be listed: {error.strerror}", where=str(folder))
        if unlisted is None:
            raise failure from error
        unlisted(failure)
