"""What the recipes that come with latte are for, as their first comment says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latte.recipe.shipped import is_part, shipped_names, shipped_path, unknown_recipe

TOP = "recipes"
_COMMAND = ": latte "
"""From here on, a first comment says how to run its recipe."""


@dataclass(frozen=True)
class Entry:
    """One recipe of the list."""

    name: str
    group: str
    """Its folder in words."""
    summary: str
    path: str


def entries(*, parts: bool) -> list[Entry]:
    """Every recipe, group by group; with `parts`, what is only there to be extended comes last."""
    names = [name for name in sorted(shipped_names(), key=is_part) if parts or not is_part(name)]
    return [Entry(name, _group(name), _summary(find(name)), str(find(name))) for name in names]


def find(name: str) -> Path:
    """The file of the recipe `name`. Raises `LatteError` with the nearest name."""
    path = shipped_path(name.removesuffix(".yaml"))
    if path is None:
        raise unknown_recipe(name)
    return path


def _group(name: str) -> str:
    folder = name.rpartition("/")[0]
    return f"{folder}: to extend, not to run" if is_part(name) else folder or TOP


def _summary(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    sentence = first.removeprefix("#").partition(_COMMAND)[0].partition(". ")[0]
    return sentence.strip().rstrip(":.")
