"""A small recipe on coloured squares and a tiny random CLIP, and the command line for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from latte.registry.registry import load_registry
from tests.helpers.command_line import Latte, latte_in_process
from tests.helpers.finished_runs import ExampleRun, copied, finish_one
from tests.helpers.guards import installed, write_fixed_guard
from tests.helpers.reversed_labeler import reversed_labeler
from tests.helpers.scripted_describer import Noting
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.squares import write_project
from tests.helpers.stub_encoders import write_stub_encoders


@pytest.fixture
def recipe(tmp_path: Path, tiny_clip_folder: Path) -> Path:
    """A recipe with 12 training and 9 labelled test images; training folders name no class."""
    return write_project(tmp_path, tiny_clip_folder)


@pytest.fixture(scope="session")
def shared_runs(
    tmp_path_factory: pytest.TempPathFactory, tiny_clip_folder: Path, guard_plugin: Path
) -> Iterator[SharedRuns]:
    """Finished runs of `recipe` by their settings; tests must not write to them."""
    place = tmp_path_factory.mktemp("shared")
    runs = SharedRuns(place, tiny_clip_folder, lambda: installed(guard_plugin))
    yield runs
    runs.assert_unchanged()


@pytest.fixture
def latte(capsys: pytest.CaptureFixture[str]) -> Latte:
    """Run `latte ARGUMENTS` in this process; fail the test unless it exits with `code`."""
    return latte_in_process(capsys)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty cache."""
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def noting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Noting]:
    """The describer `noting`, for runs in this process and in others."""
    plugin = Noting(tmp_path)
    monkeypatch.syspath_prepend(str(plugin.plugin))
    monkeypatch.setenv("ASKED", str(plugin.log))
    load_registry.cache_clear()
    yield plugin
    load_registry.cache_clear()


@pytest.fixture(scope="session")
def guard_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the guard `fixed`, for the import path."""
    return write_fixed_guard(tmp_path_factory.mktemp("guard"))


@pytest.fixture
def fixed_guard(guard_plugin: Path) -> Iterator[Path]:
    """The guard `fixed`, for runs in this process; returns its import path."""
    with installed(guard_plugin):
        yield guard_plugin


@pytest.fixture
def stub_encoders(tmp_path: Path) -> Iterator[Path]:
    """The encoder `colours` and the labeler `means`; returns their import path."""
    plugin = write_stub_encoders(tmp_path)
    with installed(plugin):
        yield plugin


@pytest.fixture
def reversed_posterior(tmp_path: Path) -> Iterator[None]:
    """The labeler `reversed`, for runs in this process."""
    with reversed_labeler(tmp_path):
        yield


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_clip_folder: Path, guard_plugin: Path
) -> ExampleRun:
    """A finished run with the guard `fixed`; tests must not write to it."""
    with installed(guard_plugin):
        return finish_one(tmp_path_factory.mktemp("finished"), tiny_clip_folder)


@pytest.fixture
def copied_run(finished_run: ExampleRun, tmp_path: Path, fixed_guard: Path) -> Path:
    """A copy of `finished_run` that a test may damage."""
    return copied(finished_run, tmp_path)
