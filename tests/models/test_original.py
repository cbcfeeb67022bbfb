"""Zero-shot CLIP of a run that trained CLIP: its original weights are loaded without the recipe."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import latte
from latte.interfaces import LatteError
from tests.helpers.guards import fixed, installed, write_fixed_guard
from tests.helpers.recorded import write_colour_images
from tests.helpers.records import record, recorded
from tests.helpers.squares import RECIPE
from tests.helpers.whole_runs import environment, run

pytestmark = pytest.mark.thorough

VARIABLE = "CLIP_TOKEN"
"""Name of a variable whose value counts as a secret."""
PROGRAM = """
import sys
import latte

model = latte.load(sys.argv[1])
model.predict(sys.argv[2])
imported = [name for name in sys.modules if name.startswith(("latte.recipe", "latte.run"))]
assert not imported, imported
assert "fixed_guard" not in sys.modules
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_clip_folder: Path) -> Iterator[Path]:
    """A folder with images, weights, a recipe and a run that trained CLIP and kept zero-shot."""
    place = tmp_path_factory.mktemp("project")
    write_colour_images(place / "images", ("red", "green", "blue"), 3, (40, 36))
    write_colour_images(place / "test", ("red", "green", "blue"), 1, (38, 38))
    shutil.copytree(tiny_clip_folder, place / "clip-tiny")
    recipe = place / "squares.yaml"
    recipe.write_text(RECIPE.format(clip="clip-${" + VARIABLE + "}"))
    guard = write_fixed_guard(tmp_path_factory.mktemp("guard"))
    with pytest.MonkeyPatch.context() as patch, installed(guard):
        patch.setenv("LATTE_CACHE", str(place / "cache"))
        patch.setenv(VARIABLE, "tiny")
        run(recipe, fixed(0), "describer=null", "descriptions=[class]", output=place / "runs")
    yield place


@pytest.fixture
def moved(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project at another place, with the variable of its weights."""
    copy = shutil.copytree(project, tmp_path / "moved")
    monkeypatch.setenv("LATTE_CACHE", str(copy / "cache"))
    monkeypatch.setenv(VARIABLE, "tiny")
    record(run_of(copy), ("source", "recipe"), str(copy / "squares.yaml"))
    return copy


def run_of(project: Path) -> Path:
    (folder,) = (project / "runs").iterdir()
    return folder


def refused(folder: Path) -> LatteError:
    """Return the error of loading zero-shot CLIP; the adapted model can be loaded."""
    with pytest.raises(LatteError) as caught:
        latte.load(folder)
    assert "\n" not in caught.value.what
    assert latte.load(folder, use="adapted").classes
    return caught.value


def test_record_keeps_the_placeholder_of_a_secret(project: Path) -> None:
    loader = recorded(run_of(project), "source", "loader")
    assert loader["use"] == "latte-clip/open_clip"
    assert loader["options"]["model"] == "local-dir:clip-${" + VARIABLE + "}"


def test_neither_recipe_nor_stages_nor_the_guard_are_imported(moved: Path) -> None:
    run_of(moved).joinpath("recipe.yaml").write_text("no recipe: [")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, run_of(moved), moved / "test"],
        env=environment(moved),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_original_weights_are_loaded_not_the_adapted_ones(moved: Path) -> None:
    run_folder, images = run_of(moved), moved / "test"
    by_zero_shot = latte.load(run_folder).predict(images)
    assert by_zero_shot != latte.load(run_folder, use="adapted").predict(images)


def test_unset_variable_is_named_with_the_way_to_set_it(
    moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    error = refused(run_of(moved))
    assert error.what == (
        f"the environment variable {VARIABLE} is not set, and this run's backbone.model needs it"
    )
    assert error.where == str(run_of(moved))
    assert str(error.hint).startswith(f"set it: export {VARIABLE}=..., or use the adapted model")


def test_missing_weights_of_a_moved_run_name_the_place_it_was_made_from(
    moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run_of(moved).rename(moved.parent / "alone")
    record(alone, ("source", "recipe"), "/old/place/squares.yaml")
    record(alone, ("source", "recipe_from_run"), "../old/squares.yaml")
    record(alone, ("source", "loader", "options", "model"), "local-dir:clip-tiny")
    error = refused(alone)
    assert error.what == f"there is no model folder {moved.parent}/old/clip-tiny"
    assert str(error.hint).startswith("the run was made in /old/place: move it together with")
    assert "--use adapted" in str(error.hint)


def test_missing_weights_are_an_error_that_names_them(moved: Path) -> None:
    shutil.rmtree(moved / "clip-tiny")
    error = refused(run_of(moved))
    assert error.what.startswith("there is no model folder")
    assert str(error.hint).startswith("put them back, or use the adapted model")


def test_changed_weights_are_refused(moved: Path) -> None:
    path = moved / "clip-tiny" / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    error = refused(run_of(moved))
    assert "have changed since this run" in error.what
    assert str(error.hint).startswith("put them back, or make the run again: latte run")


def test_missing_plugin_is_named_with_the_command_that_installs_it(moved: Path) -> None:
    record(run_of(moved), ("source", "loader", "use"), "acme-clip/acme")
    error = refused(run_of(moved))
    assert error.what == 'no backbone named "acme-clip/acme" is installed'
    assert 'pip install "acme-clip"' in str(error.hint)


def test_options_that_the_plugin_no_longer_has_are_refused(moved: Path) -> None:
    record(run_of(moved), ("source", "loader", "options", "colour"), "red")
    error = refused(run_of(moved))
    assert "does not accept the options (colour)" in error.what


def test_run_of_an_earlier_version_names_the_command_that_records_the_original(
    moved: Path,
) -> None:
    record(run_of(moved), ("source", "loader"), None)
    error = refused(run_of(moved))
    assert "an earlier version of latte made this run" in error.what
    assert "latte run" in str(error.hint)
