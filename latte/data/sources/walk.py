"""Every image below a folder, whatever links and hidden files lie around in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from latte.data.sources.paths import is_broken_link, is_file, is_folder, some, visible_entries
from latte.interfaces import LatteError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}
)


def list_images(root: Path, where: str) -> list[Path]:
    """Every image file below `root` by suffix, in no order. Raises `LatteError` if there is none.

    Hidden files and folders are left out. Links are followed, each folder is listed once however
    many links lead to it, and a file whose link is broken is listed: reading it tells why.
    """
    files = list(_files_below(root))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        others = sorted({path.suffix.lower() or path.name for path in files})
        raise LatteError(
            f"no images below {root}" + (f", only {some(others)}" if others else ""),
            where=where,
            hint=f"Files that end in {', '.join(sorted(IMAGE_SUFFIXES))} are read.",
        )
    return images


def list_folders(root: Path) -> list[Path]:
    """The sub-folders of `root` that are not hidden, sorted by name."""
    paths = [Path(entry.path) for entry in visible_entries(root)]
    return [path for path in paths if is_folder(path)]


def _files_below(root: Path) -> Iterator[Path]:
    # Real folders go before links, so that a folder is found under its own name where it has one.
    pending = deque([root])
    seen: set[tuple[int, int]] = set()
    while pending:
        folder = pending.popleft()
        entries = visible_entries(folder)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                pending.appendleft(path)
            elif entry.is_symlink() and is_folder(path):
                pending.append(path)
            elif is_file(path) or is_broken_link(path):
                yield path
