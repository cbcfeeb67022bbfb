"""Paths from environment variables are relative to the working directory."""

from pathlib import Path

import pytest

from latte.interfaces import Options, PathText
from latte.recipe.fields import types_at
from latte.recipe.load import load_recipe
from latte.recipe.variables import with_absolute_path
from latte.registry.registry import Registry
from latte.run.identity import run_hash

RECIPE = """\
backbone: {model: "${MODEL:-ViT-B-32}", pretrained: "${WEIGHTS:-laion2b_s34b_b79k}"}
dataset:
  use: folder
  root: ${IMAGES:-photos}
  classes: ${CLASSES:-classes.txt}
  evaluation: labelled/${SPLIT:-test}
train: {max_steps: 0}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe in `recipes/`, with `home/` as working directory."""
    for name in ("recipes", "home/photos/inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "recipes" / "r.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path


def resolved(place: Path, registry: Registry, **environment: str) -> dict[str, str]:
    recipe = load_recipe(place / "recipes" / "r.yaml", registry, (), environment)
    return {**recipe.resolved["dataset"], **recipe.resolved["backbone"]}


def test_a_path_from_the_environment_is_relative_to_the_working_directory(
    place: Path, registry: Registry
) -> None:
    options = resolved(place, registry, IMAGES="photos", CLASSES="names.txt")
    assert options["root"] == str(place / "home" / "photos")
    assert options["classes"] == str(place / "home" / "names.txt")


def test_defaults_and_written_paths_are_relative_to_the_recipe(
    place: Path, registry: Registry
) -> None:
    options = resolved(place, registry, SPLIT="val", IMAGES="")
    assert options["root"] == "photos"
    assert options["classes"] == "classes.txt"
    assert options["evaluation"] == "labelled/val"


def test_a_model_folder_and_a_weights_file_are_paths(place: Path, registry: Registry) -> None:
    options = resolved(place, registry, MODEL="local-dir:mine", WEIGHTS="clip.safetensors")
    assert options["model"] == f"local-dir:{place / 'home' / 'mine'}"
    assert options["pretrained"] == str(place / "home" / "clip.safetensors")


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("MODEL", "ViT-L-14", "model"),
        ("MODEL", "hf-hub:a/b", "model"),
        ("WEIGHTS", "openai", "pretrained"),
        ("CLASSES", "folders", "classes"),
    ],
)
def test_names_are_not_made_absolute(
    place: Path, registry: Registry, variable: str, value: str, key: str
) -> None:
    assert resolved(place, registry, **{variable: value})[key] == value


@pytest.mark.parametrize("spelling", ["photos", "./photos/", "photos/inner/..", "{here}/photos"])
def test_run_hash_does_not_depend_on_the_spelling_of_a_path(
    place: Path, registry: Registry, spelling: str
) -> None:
    def run(images: str) -> str:
        recipe = load_recipe(place / "recipes" / "r.yaml", registry, (), {"IMAGES": images})
        return run_hash(recipe, None)

    assert run(spelling.format(here=place / "home")) == run(str(place / "home" / "photos"))


def test_dots_behind_a_link_follow_the_file_system(place: Path, registry: Registry) -> None:
    (place / "elsewhere" / "deep").mkdir(parents=True)
    (place / "home" / "link").symlink_to(place / "elsewhere" / "deep")
    options = resolved(place, registry, IMAGES="link/..")
    assert Path(options["root"]).samefile(place / "elsewhere")


def test_a_path_variable_in_an_override_is_relative_to_the_working_directory(
    place: Path, registry: Registry
) -> None:
    path = place / "recipes" / "r.yaml"
    recipe = load_recipe(path, registry, ["dataset.root=${HERE}/photos"], {"HERE": "."})
    assert recipe.resolved["dataset"]["root"] == str(place / "home" / "photos")


class Inner(Options):
    file: Path | None = None


class Outer(Options):
    inner: Inner = Inner()
    files: tuple[PathText, ...] = ()
    named: dict[str, PathText] | None = None
    word: str = ""


def test_marked_options_are_found_inside_lists_mappings_and_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    absolute = str(tmp_path / "a")
    for path in (("inner", "file"), ("files", 0), ("named", "x")):
        assert with_absolute_path("a", [(0, 1)], types_at([Outer], path)) == absolute
    assert with_absolute_path("a", [(0, 1)], types_at([Outer], ("word",))) == "a"
