"""Untrusted run folders: nothing is written outside them, and their content is checked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.results.folder import RunFolder
from tests.helpers.finished_runs import ExampleRun

RunCheck = Callable[..., str]


@pytest.fixture
def latte(capsys: pytest.CaptureFixture[str]) -> RunCheck:
    """Return a function that runs `latte ARGUMENTS` and returns its error."""

    def call(*arguments: str | Path) -> str:
        capsys.readouterr()
        ended = run_command_line([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert ended == 2, captured.out + captured.err
        assert "Traceback" not in captured.err
        return captured.err

    return call


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder outside the run folder."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (40, 36), "red").save(path)
    return path


def assert_untouched(precious: Path) -> None:
    assert [path.name for path in precious.iterdir()] == ["letter.txt"]
    assert (precious / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(
    "name", [".lock", "data", "report", "models", "checkpoints", "results.json", "metrics.jsonl"]
)
@pytest.mark.parametrize("command", ["run", "report"])
def test_links_out_of_the_run_folder_are_never_written_through(
    name: str,
    command: str,
    finished_run: ExampleRun,
    copied_run: Path,
    precious: Path,
    latte: RunCheck,
) -> None:
    path = copied_run / name
    is_folder = path.is_dir()
    path.rename(copied_run.parent / f"was-{name}")
    path.symlink_to(precious if is_folder else precious / "letter.txt")
    if name == "results.json":
        path.unlink()
        path.symlink_to(copied_run.parent / f"was-{name}")
    of_run = [finished_run.recipe, "--set", f"output={copied_run.parent}"]
    error_output = latte(command, *(of_run if command == "run" else [copied_run]), "--quiet")
    assert "this link leads out of the run folder" in error_output
    assert str(path) in error_output
    assert_untouched(precious)


def test_an_export_is_not_written_through_a_link(
    copied_run: Path, precious: Path, latte: RunCheck
) -> None:
    (copied_run / "export").symlink_to(precious)
    assert "leads out" in latte("export", copied_run, "--format", "onnx", "--quiet")
    assert_untouched(precious)


def test_links_within_the_run_folder_are_allowed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (folder.path / "elsewhere").mkdir(parents=True)
    folder.checkpoints.symlink_to("elsewhere")
    (folder.path / "loop").symlink_to("loop")
    with folder.lock():
        pass
    assert folder.checkpoints.is_symlink()


def test_lock_is_never_a_link(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "mine").write_text("x")
    (folder.path / ".lock").symlink_to("mine")
    with pytest.raises(LatteError, match="link"), folder.lock():
        pass
    with pytest.raises(OSError):
        folder.sign()
    assert (folder.path / "mine").read_text() == "x"


Notes = dict[str, Any]


def change_prototypes(
    folder: Path, change: Callable[[dict[str, torch.Tensor], Notes], object]
) -> None:
    path = folder / "models/adapted/prototypes.safetensors"
    with safe_open(path, "pt") as file:
        notes = json.loads(file.metadata()["latte"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changed = change(tensors, notes)
    save_file(tensors, path, {"latte": json.dumps(notes if changed is None else changed)})


def test_learner_named_like_a_path_is_an_error(
    copied_run: Path, tiny_clip_folder: Path, photo: Path, latte: RunCheck
) -> None:
    """Several learners have a sub-folder of `model` each, named after them."""
    outside = os.path.relpath(tiny_clip_folder, copied_run / "models/adapted/model")

    def rename(tensors: dict[str, torch.Tensor], about: Notes) -> None:
        for part in ("weights", "owners"):
            tensors[f"{outside}.{part}"] = tensors[f"main.{part}"].clone()
        about["learners"] = [outside, "main"]

    change_prototypes(copied_run, rename)
    error_output = latte("predict", copied_run, photo, "--quiet")
    assert "a learner has a name that no recipe can give it" in error_output
    assert "models/adapted/prototypes.safetensors" in error_output


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("owners", torch.tensor([0, 1, 9]), "not those of 3 classes"),
        ("owners", torch.tensor([0, 1, 1]), "not those of 3 classes"),
        ("owners", torch.tensor([-1, 1, 2]), "not those of 3 classes"),
        ("owners", torch.zeros(3), "do not have one class each"),
        ("owners", torch.arange(2), "do not have one class each"),
        ("weights", torch.full((3, 16), torch.nan), "not finite or too large"),
        ("weights", torch.zeros(3, dtype=torch.int64), "not a matrix of fp32"),
        ("weights", torch.ones(3, 16, dtype=torch.float64), "not a matrix of fp32"),
        ("weights", torch.zeros(3, 16), "a prototype of main is zero"),
        ("weights", torch.full((3, 16), 1e30), "not finite or too large"),
        ("bias", torch.zeros(2), "not one finite number for each prototype"),
        ("bias", torch.zeros(3, 1), "not one finite number for each prototype"),
        ("bias", torch.zeros(3, dtype=torch.float64), "not one finite number for each prototype"),
        ("bias", torch.tensor([0, torch.inf, 0]), "not one finite number for each prototype"),
        ("none", torch.zeros(2), "the row of no class of main is not one of finite numbers"),
        ("none", torch.full((17,), torch.nan), "the row of no class of main is not one of finite"),
    ],
)
def test_prototypes_of_other_shape_are_an_error(
    part: str, value: torch.Tensor, message: str, copied_run: Path, photo: Path, latte: RunCheck
) -> None:
    change_prototypes(copied_run, lambda tensors, _: tensors.update({f"main.{part}": value}))
    assert message in latte("predict", copied_run, photo, "--quiet")


@pytest.mark.parametrize("notes", [{}, {"class_names": 1}, {"class_names": ["a", "a"]}, [], 1])
def test_damaged_prototype_metadata_is_an_error(
    notes: object, copied_run: Path, photo: Path, latte: RunCheck
) -> None:
    change_prototypes(copied_run, lambda *_: notes)
    error_output = latte("predict", copied_run, photo, "--quiet")
    assert "prototypes.safetensors: this file is damaged" in error_output
