"""Folder for all faults, with one recipe and the results of an undisturbed run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.faults.place import ALL_STAGES, FaultPlace
from tests.faults.recipe import write_recipe


class Site:
    """Folder that contains a place (a folder) per fault; nothing in it is removed."""

    def __init__(self, folder: Path, recipe: Path | None = None) -> None:
        self.folder = folder
        self.recipe = recipe or write_recipe(folder / "recipe")
        self._count = 0
        self.whole = cache(self._whole)

    def place(self, changes: Sequence[str] = ALL_STAGES) -> FaultPlace:
        """Return a new place with its own cache."""
        self._count += 1
        return FaultPlace(self.recipe, self.folder / f"place-{self._count}", changes)

    def _whole(self, *changes: str) -> FaultPlace:
        """Place of the undisturbed run, which is made once."""
        place = self.place([*ALL_STAGES, *changes])
        place.finish()
        return place
