"""From a folder of images to a classifier in one command, and in one call."""

from __future__ import annotations

import csv
import errno
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from safetensors import SafetensorError

import latte
from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.interfaces.progress import SilentProgress
from latte.io.paths import relative
from latte.new.adapting import propose, run_proposal
from latte.predict.predictor import Predictor
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.workspace import run_folder
from tests.helpers.html_document import parse
from tests.helpers.records import recorded

pytestmark = pytest.mark.thorough

MakeImages = Callable[..., Path]
MODEL = ("--model", "plugin:tiny")


@pytest.fixture
def photos(colour_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = colour_images(per_class=6)
    monkeypatch.chdir(tmp_path)
    return root


def test_one_command_writes_recipe_run_report_and_labels(
    photos: Path, colour_images: MakeImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = colour_images(per_class=2, folder="labelled")
    command = ["adapt", str(photos), "--test", str(labelled), *MODEL, "--quiet"]
    assert run_command_line(command) == 0
    printed = "".join(capsys.readouterr())
    recipe = Path("adapted", f"{photos.name}.yaml")
    (folder,) = (path.parent for path in Path("adapted").glob("*/pseudo_labels.csv"))
    with (folder / "pseudo_labels.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(list(photos.rglob("*.jpg")))
    for words in (str(recipe), str(folder / "report" / "index.html"), "zero-shot", "adapted"):
        assert words in printed, words
    modification_times = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert run_command_line(command) == 0
    assert {
        path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")
    } == modification_times


def test_error_about_an_earlier_run_folder_names_the_folder(photos: Path) -> None:
    proposed = propose(
        photos, None, None, Path("adapted"), "auto", "plugin:tiny", registry=load_registry()
    )
    folder = run_folder(load_recipe(proposed.recipe, load_registry()), None, proposed.output)
    folder.path.mkdir(parents=True)
    (folder.path / "state.json").write_text("{}")
    with pytest.raises(LatteError, match="an earlier version of latte") as caught:
        run_proposal(proposed, load_registry(), SilentProgress())
    assert caught.value.where == str(folder.path)


def test_a_model_folder_starts_at_the_current_folder(photos: Path, tiny_clip_folder: Path) -> None:
    shutil.copytree(tiny_clip_folder, "clip")
    command = [
        "adapt",
        str(photos),
        "--model",
        "local-dir:clip",
        "--quiet",
        "--runs",
        "not/yet/made",
    ]
    assert run_command_line(command) == 0


def test_one_call_returns_what_load_returns(photos: Path) -> None:
    names = sorted(path.name for path in photos.iterdir())
    model = latte.adapt(photos, names, model="plugin:tiny")
    (folder,) = (path.parent for path in Path("adapted").glob("*/pseudo_labels.csv"))
    assert isinstance(model, Predictor)
    assert model.predict(photos) == latte.load(folder).predict(photos)
    assert model.folder == folder.absolute()
    assert (model.folder / "report" / "index.html").is_file()
    assert model.verdict is not None
    assert asdict(model.verdict) == recorded(folder, "judge", "verdict")
    assert repr(model) == f"Model({len(names)} classes: {', '.join(names)}; device='cpu')"
    shown = parse(model._repr_html_())
    assert shown.one("p").words.endswith("measures the gain of this run.")
    assert next(iter(shown.all("code"))).words == f"latte review {relative(model.folder)}"
    (model.folder / "results.json").unlink()
    assert model._repr_html_() == f"<pre>{escape(repr(model))}</pre>"


def test_names_of_a_file_elsewhere_are_copied_into_the_recipe(photos: Path) -> None:
    Path("names.txt").write_text("red | crimson\ngreen\n# the sea\nblue\n")
    command = ["adapt", str(photos), "--classes", "names.txt", *MODEL, "--quiet"]
    assert run_command_line(command) == 0
    recipe = Path("adapted", f"{photos.name}.yaml")
    names = load_recipe(recipe, load_registry()).resolved["dataset"]["classes"]
    assert names == ["red | crimson", "green", "blue"]
    assert run_command_line(["check", str(recipe)]) == 0
    assert run_command_line(["adapt", str(photos), "--classes", "names.txt", *MODEL]) == 0
    Path("names.txt").rename(photos / "names.txt")
    command = ["adapt", str(photos), "--classes", str(photos / "names.txt"), *MODEL, "--quiet"]
    assert run_command_line(command) == 0
    assert f"classes: ../{photos.name}/names.txt" in recipe.read_text()


def test_progress_is_shown_on_standard_error(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latte.adapt(photos, model="plugin:tiny", runs="silent", progress=False)
    assert capsys.readouterr() == ("", "")
    latte.adapt(photos, model="plugin:tiny", runs="shown")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "encode images: " in printed.err


def test_images_are_a_list_a_column_or_an_array_of_paths(
    photos: Path, colour_images: MakeImages
) -> None:
    """The three give one run, which only the first call computes."""
    pandas = pytest.importorskip("pandas")
    tests = colour_images(per_class=2, folder="labelled")
    folders = set()
    for kind in (list, numpy.array, pandas.Series):
        paths = kind([relative(path) for path in sorted(photos.rglob("*.jpg"))[::2]])
        model = latte.adapt(
            paths, ["red", "green", "blue"], test=tests, model="plugin:tiny", progress=False
        )
        folders.add(model.folder)
        assert recorded(model.folder, "data", "training_images") == len(paths)
        adapted = latte.load(model.folder, use="adapted", progress=False)
        predictions = adapted.predict(paths)
        assert [prediction.image for prediction in predictions] == [*paths]
        assert {prediction.source for prediction in predictions} == {"own"}
        frame = predictions.to_frame()
        assert [*frame.columns[:2]] == ["image", "source"]
        assert [*frame["class_1"]] == [prediction.name for prediction in predictions]
        for images in (paths, [Image.open(path) for path in paths]):
            probabilities = model.probabilities(images)
            assert probabilities.shape == (len(paths), 3)
            expected = [prediction.confidence for prediction in model.predict(images)]
            assert probabilities.max(dim=1).values.tolist() == pytest.approx(expected)
    assert len(folders) == 1


def test_one_command_also_sorts_the_images_and_writes_a_file(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["adapt", str(photos), *MODEL]
    for output in ("labels", "labels.parquet", str(photos)):
        assert run_command_line([*command, "--output", output]) == 2
    assert not Path("adapted").exists()
    capsys.readouterr()
    assert run_command_line(command) == 0

    def encode(*arguments: object) -> None:
        raise AssertionError("an image of the run is encoded again")

    monkeypatch.setattr("latte.predict.encoding._encode_pixels", encode)
    capsys.readouterr()
    assert run_command_line([*command, "--output", "a.csv", "--sort-into", "sorted"]) == 0
    images = len([*photos.rglob("*.jpg")])
    assert f"{images} images in " in capsys.readouterr().err
    assert len(Path("a.csv").read_text().splitlines()) == 1 + images
    assert len([*Path("sorted").glob("*/*.jpg")]) == images


def test_class_names_of_an_iterator_or_a_text_keep_their_order(photos: Path) -> None:
    for names in (iter(["red", "green", "blue"]), "red, green, blue"):
        model = latte.adapt(photos, names, model="plugin:tiny")
        assert model.classes == ("red", "green", "blue")


def test_an_edited_recipe_is_kept_and_an_unedited_one_replaced(
    photos: Path, colour_images: MakeImages, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, recipe = load_registry(), Path("adapted", f"{photos.name}.yaml")
    labelled = colour_images(per_class=2, folder="labelled")
    for test in (None, labelled):
        propose(photos, None, test, Path("adapted"), "auto", "plugin:tiny", registry=registry)
        assert (load_recipe(recipe, registry).resolved["dataset"]["evaluation"] is None) == (
            test is None
        )
    edited = recipe.read_text().replace("a photo of a", "a picture of a")
    recipe.write_text(edited)
    assert run_command_line(["adapt", str(photos), *MODEL]) == 2
    assert recipe.read_text() == edited
    assert "has been edited" in capsys.readouterr().err


def test_command_in_the_written_recipe_reuses_the_run_beside_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = latte.adapt(photos, model="plugin:tiny", runs="my runs").folder
    recipe = Path("my runs", f"{photos.name}.yaml").read_text()
    (command,) = re.findall(r"^#   latte (run .*output=\S+)$", recipe, re.MULTILINE)
    monkeypatch.chdir("my runs")
    assert run_command_line([*shlex.split(command), "--quiet"]) == 0
    assert f"{run.name}/report" in capsys.readouterr().out
    assert [path for path in Path().iterdir() if path.is_dir()] == [Path(run.name)]


def test_zero_shot_is_a_method(photos: Path) -> None:
    model = latte.adapt(photos, method="zero-shot", model="plugin:tiny", runs="plain")
    assert "guard" not in Path("plain", f"{photos.name}.yaml").read_text()
    assert model.verdict is None
    assert len(model.classes) == len(list(photos.iterdir()))


def test_missing_model_folder_names_where_it_was_sought(photos: Path) -> None:
    with pytest.raises(LatteError, match=str(Path("gone").absolute())) as error:
        latte.adapt(photos, model="local-dir:gone")
    assert "starts at the current folder" in (error.value.hint or "")


def test_offline_without_a_model_is_an_error_before_anything_else(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("latte.new.models", "latte.backbone.hub"):
        monkeypatch.setattr(f"{module}.answers", lambda repository: False)
        monkeypatch.setattr(f"{module}.cached_models", list)
    monkeypatch.setattr("latte.backbone.hub.cached_file", lambda repository, files: None)
    assert run_command_line(["adapt", str(photos)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, list(Path("adapted").glob("*"))) == ("", [])
    assert "only to try latte, because its labels are poor: --model plugin:tiny" in printed.err
    with pytest.raises(LatteError, match='model="plugin:tiny"'):
        latte.adapt(photos)
    assert run_command_line(["adapt", str(photos), *MODEL, "--quiet"]) == 0
    assert capsys.readouterr().err.count("only to try latte: its labels are poor") == 1


@pytest.mark.parametrize(
    ("argument", "value", "argument_named"),
    [
        ("images", "gone", "images"),
        ("images", ["1.jpg"], "images"),
        ("classes", "gone.txt", "classes"),
        ("classes", ["cat", "cat"], "classes.1"),
        ("classes", [1, 2], "classes.0"),
        ("classes", ["cat", None], "classes.1"),
        ("classes", b"cat", "classes.0"),
        ("classes", 3, "classes"),
        ("classes", {"cat", "dog"}, "classes"),
        ("test", "gone", "test"),
        ("test", ["labelled"], "test"),
        ("runs", 3, "runs"),
        ("method", "zeroshot", "method"),
        ("method", 3, "method"),
        ("model", "plugin:tny", "model"),
        ("model", 3, "model"),
    ],
)
def test_errors_of_a_call_name_the_python_argument(
    argument: str,
    value: object,
    argument_named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.new("RGB", (8, 8)).save("photos/1.jpg")
    arguments: dict[str, Any] = {
        "images": "photos",
        "classes": ["cat", "dog"],
        "model": "plugin:tiny",
    }
    with pytest.raises(LatteError) as error:
        latte.adapt(**{**arguments, argument: value})
    assert error.value.where == argument_named
    assert error.value.hint
    assert "--" not in str(error.value)


def test_single_class_name_is_an_error_that_says_how_to_give_several(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["adapt", str(photos), "--classes", "airplane", *MODEL]) == 2
    message = capsys.readouterr().err
    assert "no such file" in message
    assert "at least 2 are needed, as in --classes cat,dog" in message
    with pytest.raises(LatteError, match=r'as in classes=\["cat", "dog"\]'):
        latte.adapt(photos, "airplane", model="plugin:tiny")
    with pytest.raises(LatteError, match=r"^classes: 1 class name; at least 2 are needed"):
        latte.adapt(photos, ["airplane"], model="plugin:tiny")


def test_home_folder_is_found_in_paths_of_a_call(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    Path("classes.txt").write_text("red\ngreen\n")
    model = latte.adapt(f"~/{photos.name}", "~/classes.txt", model="plugin:tiny", runs="~/mine")
    assert model.folder.parent == photos.parent / "mine"
    assert latte.load(f"~/mine/{model.folder.name}").classes == model.classes


def test_call_on_a_full_disk_raises_an_error_with_a_fix(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("latte.run.runner.run_recipe", full)
    with pytest.raises(LatteError, match="no space left on device") as error:
        latte.adapt(photos, model="plugin:tiny")
    assert "free some space" in (error.value.hint or "")


@pytest.mark.parametrize("command", [["adapt"], ["new", "--images"]])
@pytest.mark.parametrize("folder", ["summer 2026", "."])
def test_missing_class_names_are_asked_for_with_the_option(
    command: list[str], folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    (photos / folder).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(photos / folder / "1.jpg")
    assert run_command_line([*command, str(photos)]) == 2
    message = capsys.readouterr().err
    assert "--classes classes.txt, or --classes cat,dog" in message
    assert ("(summer 2026)" in message) == (folder != ".")


def test_recipe_on_a_full_disk_is_an_error_with_a_fix(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("latte.new.writing.write_atomically", full)
    with pytest.raises(LatteError, match="cannot be written") as error:
        latte.adapt(photos, model="plugin:tiny")
    assert error.value.where == str(Path("adapted", f"{photos.name}.yaml"))
    assert "free some space" in (error.value.hint or "")
