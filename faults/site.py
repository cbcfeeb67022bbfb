"""Where faults happen one after the other: one recipe, and the results that nobody disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from faults.place import ALL_STAGES, Place
from faults.recipe import write_recipe


class Site:
    """A folder for everything; nothing in it is removed."""

    def __init__(self, folder: Path, recipe: Path | None = None) -> None:
        self.folder = folder
        self.recipe = recipe or write_recipe(folder / "recipe")
        self._count = 0
        self.whole = cache(self._whole)

    def place(self, changes: Sequence[str] = ALL_STAGES) -> Place:
        """A fresh one, with a cache of its own."""
        self._count += 1
        return Place(self.recipe, self.folder / f"place-{self._count}", changes)

    def _whole(self, *changes: str) -> Place:
        """A run to the end that nothing happens to; made once."""
        place = self.place([*ALL_STAGES, *changes])
        place.finish()
        return place
