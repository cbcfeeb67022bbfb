"""Check the folder of a published dataset: missing and misplaced files, and the split."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from latte.api import LatteError, digest
from latte.api.sources import Splits, is_file, is_folder, visible_entries
from latte_benchmarks.dataset import missing, read_published, split_files
from latte_benchmarks.facts import SPLITS_PAGE, DatasetFacts

_DEPTH = 3
"""Number of levels of subfolders in which a missing file is searched."""

_SHOWN = 3


@dataclass(frozen=True)
class DatasetFinding:
    """One result of a check; a dataset with an `error` cannot be used as it is."""

    level: Literal["error", "warning", "ok"]
    what: str
    hint: str = ""


def check(facts: DatasetFacts, root: Path, split: str | None = None) -> list[DatasetFinding]:
    """Check the folder `root` without opening images; return findings in the order to fix them."""
    if not is_folder(root):
        return [DatasetFinding("error", f"no such folder: {root}", _how_to_get(facts, root))]
    absent = missing(facts, root, split)
    if absent:
        return [_misplaced(facts, root, name) for name in absent]
    return [*_splits(facts, root, split)]


def usable(findings: list[DatasetFinding]) -> bool:
    """Return True if no finding is an error, so that a run can use the dataset."""
    return all(finding.level != "error" for finding in findings)


def _misplaced(facts: DatasetFacts, root: Path, name: str) -> DatasetFinding:
    kind = "folder" if name.endswith("/") else "file"
    what = f"the {kind} {name} is missing"
    patterns = ("*/" * depth + glob.escape(name.rstrip("/")) for depth in range(1, _DEPTH + 1))
    elsewhere = next((path for pattern in patterns for path in sorted(root.glob(pattern))), None)
    if elsewhere is not None:
        move = f"Move {elsewhere} to {root}."
        if kind == "folder":
            beside = elsewhere.parent
            move = f"Move the content of {beside} to {root}, or use {beside} as root."
        return DatasetFinding("error", f"{what}; there is {elsewhere.relative_to(root)}", move)
    if kind == "folder" or name not in (facts.split, ""):
        return DatasetFinding("error", what, _how_to_get(facts, root))
    return DatasetFinding("error", what, f"Published by CoOp's authors: {SPLITS_PAGE}")


def _how_to_get(facts: DatasetFacts, root: Path) -> str:
    command = f"latte datasets get {facts.name} --root {root}" if facts.torchvision else ""
    return f"{command} {facts.by_hand}".strip()


def _splits(facts: DatasetFacts, root: Path, split: str | None) -> Iterator[DatasetFinding]:
    file = split_files(facts, root, split)[-1]
    try:
        splits = read_published(facts, root, split)
        yield _which_split(facts, splits, file, has_other_split=split is not None)
    except LatteError as error:
        yield DatasetFinding("error", f"{error.where}: {error.what}", error.hint or "")
        return
    yield _images(root / facts.images, splits)


def _which_split(
    facts: DatasetFacts, splits: Splits, file: Path, *, has_other_split: bool
) -> DatasetFinding:
    train, val, test, classes = sizes(splits)
    counts = f"{train:,} + {val:,} training and {test:,} test images of {classes} classes"
    if facts.digest and split_digest(splits) == facts.digest:
        return DatasetFinding("ok", f"{file.name}: {counts}, those of the published split")
    if (train, val, test, classes) == expected_sizes(facts):
        if facts.digest:
            return DatasetFinding(
                "warning", f"{file.name}: {counts}, as published, but other entries"
            )
        return DatasetFinding("ok", f"{file.name}: {counts}, as published")
    published_counts = "{:,} + {:,} and {:,} of {} classes".format(*expected_sizes(facts))
    return DatasetFinding(
        "warning" if has_other_split else "error",
        f"{file.name}: {counts}; published are {published_counts}",
        f"The published one: {SPLITS_PAGE}",
    )


def _images(folder: Path, splits: Splits) -> DatasetFinding:
    paths_by_split = {split: [entry.path for entry in entries] for split, entries in splits.items()}
    total = sum(map(len, paths_by_split.values()))
    present = _present(folder, (path for paths in paths_by_split.values() for path in paths))
    absent_by_split = {
        split: [path for path in paths if path not in present]
        for split, paths in paths_by_split.items()
    }
    count = sum(map(len, absent_by_split.values()))
    if not count:
        return DatasetFinding("ok", f"all {total:,} images of the split are there")
    by_split = ", ".join(
        f"{len(paths):,} of {name}" for name, paths in absent_by_split.items() if paths
    )
    examples = [path for paths in absent_by_split.values() for path in paths][:_SHOWN]
    return DatasetFinding(
        "error",
        f"{count:,} of {total:,} images are absent or empty ({by_split}), such as "
        f"{', '.join(examples)}",
        _nested(folder, examples[0]) or f"Paths start at {folder}.",
    )


def _nested(folder: Path, path: str) -> str:
    """Return a hint if a subfolder of `folder` contains `path`, else an empty string."""
    for entry in visible_entries(folder):
        if is_file(folder / entry.name / path):
            return f"One level too deep: move the content of {folder / entry.name} to {folder}."
    return ""


def _present(folder: Path, paths: Iterable[str]) -> set[str]:
    """Return the `paths` that are non-empty files; each folder is read only once."""
    parents = {PurePosixPath(path).parent for path in paths}
    return {
        (parent / entry.name).as_posix()
        for parent in parents
        if is_folder(folder / parent)
        for entry in visible_entries(folder / parent)
        if entry.is_file() and entry.stat().st_size
    }


def split_digest(splits: Splits) -> str:
    """Return a digest of paths, labels and class names; train and val count as one split."""
    lines = [
        f"{'test' if split == 'test' else 'training'}\t{entry.path}\t{entry.label}\t{entry.name}"
        for split, entries in splits.items()
        for entry in entries
    ]
    return digest(*sorted(lines))


def sizes(splits: Splits) -> tuple[int, int, int, int]:
    """Return the numbers of images in train, val and test, and the number of classes."""
    train, val, test = map(len, splits.values())
    return train, val, test, len(splits.names_by_label())


def expected_sizes(facts: DatasetFacts) -> tuple[int, int, int, int]:
    """Return the published numbers of images in train, val and test, and the number of classes."""
    return facts.train, facts.val, facts.test, facts.classes
