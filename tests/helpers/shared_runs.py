"""Finished runs of the coloured squares that tests of one session read together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from latte.interfaces import RunResults
from tests.helpers.squares import write_project
from tests.helpers.whole_runs import run


@dataclass(frozen=True)
class SharedRun:
    """A finished run, which no test may change."""

    folder: Path
    results: RunResults
    lines: tuple[str, ...]
    """Lines that the run reported."""

    def copied(self, output: Path) -> Path:
        """Return a copy of the run folder below `output`, which a test may change."""
        return shutil.copytree(self.folder, output / self.folder.name, symlinks=True)


class SharedRuns:
    """Makes each run when a test first asks for it, in the context that `plugins` returns."""

    def __init__(
        self, place: Path, clip: Path, plugins: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.recipe = write_project(place, clip)
        self.images, self.test = place / "images", place / "test"
        self._plugins = plugins
        self._runs: dict[tuple[str, ...], SharedRun] = {}
        self._written: dict[Path, tuple[int, int]] = {}

    def of(self, *overrides: str) -> SharedRun:
        """Return the run of the recipe with these `--set` values."""
        if overrides not in self._runs:
            self._runs[overrides] = self._made(*overrides)
        return self._runs[overrides]

    def _made(self, *overrides: str) -> SharedRun:
        place = self.recipe.parent / f"run-{len(self._runs)}"
        with pytest.MonkeyPatch.context() as patch, self._plugins():
            patch.setenv("LATTE_CACHE", str(place / "cache"))
            patch.delenv("JUDGED", raising=False)
            folder, results, progress = run(self.recipe, *overrides, output=place)
        assert results is not None
        self._written |= _states(folder)
        return SharedRun(folder, results, (*progress.lines,))

    def assert_unchanged(self) -> None:
        """Fail if a test wrote into a run that others read."""
        now: dict[Path, tuple[int, int]] = {}
        for shared_run in self._runs.values():
            now |= _states(shared_run.folder)
        changed = {path for path, _ in self._written.items() ^ now.items()}
        assert not changed, f"a test changed a shared run: {sorted(changed)}"


def _states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of change of each file."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
