"""Looks at a dataset's folder and says exactly what is missing, misplaced or not what it seems."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latte.data.published.facts import SPLITS_PAGE, Facts
from latte.data.published.identity import (
    belongs_to,
    expected_sizes,
    maker,
    sizes,
    split_digest,
)
from latte.data.published.location import missing, read_published, split_files
from latte.data.sources.paths import is_file, is_folder, visible_entries
from latte.data.sources.split_file import SPLIT_NAMES, Splits
from latte.interfaces import LatteError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
PART = ".part"
"""How an unfinished download ends."""

_DEPTH = 3
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was found. With an `error` the dataset cannot be used as it was published."""

    level: Literal["error", "warning", "ok"]
    what: str
    hint: str = ""


def check(facts: Facts, root: Path, split: str | None = None) -> list[Finding]:
    """Everything found in `root`, in the order in which one would mend it; no image is opened."""
    if not is_folder(root):
        return [Finding("error", f"no such folder: {root}", _how_to_get(facts, root))]
    absent = missing(facts, root, split)
    found = [_misplaced(facts, root, name) for name in absent]
    if absent:
        return [*found, *_archives(root, needed=True)]
    return [*_splits(facts, root, split), *_archives(root, needed=False)]


def usable(findings: list[Finding]) -> bool:
    """Whether a run would see the dataset as it was published."""
    return all(finding.level != "error" for finding in findings)


def _misplaced(facts: Facts, root: Path, name: str) -> Finding:
    kind = "folder" if name.endswith("/") else "file"
    what = f"the {kind} {name} is missing"
    elsewhere = next(_below(root, name.rstrip("/"), _DEPTH), None)
    if elsewhere is not None:
        what = f"{what}; there is {elsewhere.relative_to(root)}"
        return Finding("error", what, _move(elsewhere, root, kind))
    if kind == "folder" or name not in (facts.split, ""):
        return Finding("error", what, _how_to_get(facts, root))
    return Finding("error", what, f"Published by CoOp's authors: {SPLITS_PAGE}{_or_make(facts)}")


def _move(found: Path, root: Path, kind: str) -> str:
    if kind == "file":
        return f"Move {found} to {root}."
    return f"Move the content of {found.parent} to {root}, or use {found.parent} as root."


def _how_to_get(facts: Facts, root: Path) -> str:
    by_hand = f" {facts.by_hand}" if facts.by_hand else ""
    if facts.torchvision:
        return f"latte datasets get {facts.name} --root {root}{by_hand}"
    return by_hand.strip()


def _or_make(facts: Facts) -> str:
    return f"\nTo have one made: latte datasets get {facts.name}" if facts.made_from else ""


def _splits(facts: Facts, root: Path, split: str | None) -> Iterator[Finding]:
    file = split_files(facts, root, split)[-1]
    try:
        splits = read_published(facts, root, split)
        yield _which_split(facts, splits, file, own=split is not None)
    except LatteError as error:
        yield Finding("error", f"{error.where}: {error.what}", error.hint or "")
        return
    yield _images(root / facts.images, splits)


def _which_split(facts: Facts, splits: Splits, file: Path, *, own: bool) -> Finding:
    train, val, test, classes = sizes(splits)
    counts = f"{train:,} + {val:,} training and {test:,} test images of {classes} classes"
    if facts.split and (made_by := maker(file)):
        return Finding("warning", f"{file.name}: {counts}", made_by)
    if facts.digest and split_digest(splits) == facts.digest:
        return Finding("ok", f"{file.name}: {counts}, the published split to the last entry")
    if (train, val, test, classes) == expected_sizes(facts):
        if facts.digest:
            return Finding("warning", f"{file.name}: {counts}, as published, but other entries")
        return Finding("ok", f"{file.name}: {counts}, as published")
    other = belongs_to(splits)
    wanted = "{:,} + {:,} and {:,} of {} classes".format(*expected_sizes(facts))
    return Finding(
        "warning" if own else "error",
        f"{file.name}: {counts}; published are {wanted}",
        f"This is the split of {other}." if other else f"The published one: {SPLITS_PAGE}",
    )


def _images(folder: Path, splits: Splits) -> Finding:
    named = {split: [entry.path for entry in splits[split]] for split in SPLIT_NAMES}
    total = sum(map(len, named.values()))
    present = set(_files(folder))
    absent = {split: [one for one in paths if one not in present] for split, paths in named.items()}
    count = sum(map(len, absent.values()))
    if not count:
        return Finding("ok", f"all {total:,} images of the split are there")
    by_split = ", ".join(f"{len(paths):,} of {name}" for name, paths in absent.items() if paths)
    first = [path for paths in absent.values() for path in paths][:_SHOWN]
    return Finding(
        "error",
        f"{count:,} of {total:,} images are absent or empty ({by_split}), such as "
        f"{', '.join(first)}",
        _nested(folder, first[0]) or f"Paths start at {folder}.",
    )


def _nested(folder: Path, path: str) -> str:
    """Where the images are if the whole tree lies in a folder of its own inside `folder`."""
    for entry in visible_entries(folder):
        if is_file(folder / entry.name / path):
            return f"One level too deep: move the content of {folder / entry.name} to {folder}."
    return ""


def _archives(root: Path, *, needed: bool) -> Iterator[Finding]:
    for entry in visible_entries(root):
        path = root / entry.name
        if entry.name.endswith(PART):
            yield Finding("warning", f"{entry.name} is an unfinished download", "Get it again.")
        elif entry.name.endswith(ARCHIVES) and is_file(path):
            yield from _archive(path, needed=needed)


def _archive(path: Path, *, needed: bool) -> Iterator[Finding]:
    if not readable_archive(path):
        yield Finding("warning", f"{path.name} is no readable archive", "Delete it.")
    elif needed:
        yield Finding("warning", f"{path.name} is not unpacked", f"Unpack it in {path.parent}.")


def readable_archive(path: Path) -> bool:
    """Whether `path` begins as an archive does (and ends so, for ZIP); the rest is not read."""
    if path.suffix == ".zip":
        return zipfile.is_zipfile(path)
    try:
        with tarfile.open(path) as archive:
            return archive.next() is not None
    except (tarfile.TarError, OSError, EOFError):
        return False


def _files(folder: Path, prefix: str = "") -> Iterator[str]:
    """Files below `folder` that hold something, relative to it."""
    for entry in visible_entries(folder):
        if entry.is_dir():
            yield from _files(folder / entry.name, f"{prefix}{entry.name}/")
        elif entry.is_file() and entry.stat().st_size:
            yield prefix + entry.name


def _below(folder: Path, name: str, depth: int) -> Iterator[Path]:
    """Paths called `name` inside sub-folders of `folder`, the nearest first."""
    inner = [folder / entry.name for entry in visible_entries(folder)]
    folders = [path for path in inner if is_folder(path)]
    yield from (path / name for path in folders if (path / name).exists())
    if depth > 1:
        for path in folders[:50]:
            yield from _below(path, name, depth - 1)
