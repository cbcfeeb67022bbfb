"""FGVC-Aircraft's own lists: a file of class names, and a file a split of image ids and names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from latte.data.sources.paths import existing_file, read_text, some
from latte.data.sources.split_file import SPLIT_NAMES, Entry, Splits
from latte.interfaces import LatteError

VARIANTS = "variants.txt"


def variant_lists(root: Path) -> list[Path]:
    """The files that are read."""
    return [root / VARIANTS, *(_list_of(root, split) for split in SPLIT_NAMES)]


def read_variants(root: Path) -> Splits:
    """Splits whose labels are lines of `variants.txt` and whose paths start at `images/`.

    Raises `LatteError` with the line of a variant that `variants.txt` does not name.
    """
    names = read_text(existing_file(root / VARIANTS, "dataset.root")).split("\n")
    labels = {name: label for label, name in enumerate(filter(None, map(str.strip, names)))}
    return {split: list(_entries(_list_of(root, split), labels)) for split in SPLIT_NAMES}


def _list_of(root: Path, split: str) -> Path:
    return root / f"images_variant_{split}.txt"


def _entries(file: Path, labels: Mapping[str, int]) -> Iterator[Entry]:
    lines = read_text(existing_file(file, "dataset.root")).split("\n")
    for number, line in enumerate(lines, start=1):
        image, _, name = line.strip().partition(" ")
        if not image:
            continue
        if name not in labels:
            raise LatteError(
                f"{name!r} is no variant",
                where=f"{file}:{number}",
                hint=f"{VARIANTS} names {some([*labels])}.",
            )
        yield Entry(f"{file}:{number}", f"{image}.jpg", labels[name], name)
