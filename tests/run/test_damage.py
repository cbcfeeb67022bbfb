"""Commands on damaged run folders give the right result or a helpful error."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from latte.cli.main import run_command_line
from tests.faults.damage import cut, emptied
from tests.helpers.damage import JSON_FILES, garbage, gone
from tests.helpers.finished_runs import ExampleRun, copied
from tests.helpers.records import record, recorded

pytestmark = pytest.mark.thorough

FILES = (
    *JSON_FILES,
    "pseudo_labels.csv",
    "predictions.csv",
    "data/series.csv",
    "data/near_copies.csv",
    "zero_shot.safetensors",
    "models/adapted/prototypes.safetensors",
    "models/zero-shot/prototypes.safetensors",
    "recipe.yaml",
    "models/adapted/model/open_clip_config.json",
    "models/adapted/model/open_clip_model.safetensors",
    "checkpoints/fingerprint.json",
    "checkpoints/step-000002/state.safetensors",
)
COMMANDS = ("run", "report", "predict", "compare", "evaluate")


def line_lost(path: Path) -> None:
    """Remove the last line, or replace tensors by others.

    A recipe without its last line may be valid, so a bracket is added to it instead.
    """
    if path.suffix == ".safetensors":
        save_file({"training": torch.zeros(2, 3), "x": torch.zeros(1)}, path, {"latte": "{}"})
    elif path.suffix == ".yaml":
        path.write_bytes(path.read_bytes() + b"]")
    else:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def other_types(path: Path) -> None:
    """Write a well-formed file of another kind."""
    if path.suffix == ".safetensors":
        save_file({"x": torch.zeros(1)}, path)
    elif path.suffix == ".csv":
        path.write_text("image,zero_shot\na,\n")
    else:
        path.write_text(
            '{"recipe": 1, "model_cfg": 2, "event": 3, "data": [4], "a": {"b": [1e999]}}'
        )


DAMAGES: tuple[Callable[[Path], None], ...] = (cut, emptied, garbage, line_lost, other_types, gone)


class Ended:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


class Commands:
    """Run commands on copies of a finished run."""

    def __init__(self, run: ExampleRun, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.run = run
        self.place = place
        self.capsys = capsys
        self.photo = place / "photo.png"
        Image.new("RGB", (40, 36), "red").save(self.photo)

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """Yield a copy and remove it afterwards, as hundreds of models would fill a disk."""
        try:
            yield copied(self.run, self.place)
        finally:
            shutil.rmtree(self.place / "runs")

    def __call__(self, command: str, folder: Path) -> Ended:
        arguments = {
            "run": [self.run.recipe, "--set", f"output={folder.parent}", "--quiet"],
            "predict": [folder, self.photo, "--quiet"],
            "compare": [folder, "--csv", folder.parent / "table.csv"],
            "evaluate": [folder, "--json", "--quiet"],
        }.get(command, [folder])
        self.capsys.readouterr()
        code = run_command_line([command, *map(str, arguments)])
        captured = self.capsys.readouterr()
        return Ended(code, captured.out.replace(str(folder), "RUN"), captured.err)


@pytest.fixture
def commands(
    finished_run: ExampleRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fixed_guard: Path,
) -> Commands:
    monkeypatch.setenv("LATTE_CACHE", str(finished_run.cache))
    return Commands(finished_run, tmp_path, capsys)


def assert_right_or_an_error(
    commands: Commands, command: str, name: str, damages: list[str]
) -> None:
    with commands.copy() as folder:
        expected = commands(command, folder)
    assert expected.code == 0, expected.err
    for damage in DAMAGES:
        if damage.__name__ not in damages:
            continue
        with commands.copy() as folder:
            damage(folder / name)
            ended = commands(command, folder)
        what = f"{command} with {name} {damage.__name__}: {ended.out}{ended.err}"
        assert "Traceback" not in ended.err, what
        if ended.code == 0:
            assert unchanging(ended.out) == unchanging(expected.out), what
        else:
            assert ended.code == 2, what
            assert "error: " in ended.err, what
            assert Path(name).name in ended.err or str(folder) in ended.err, what


def unchanging(text: str) -> str:
    """Remove the lines that depend on the clock, or on files that are only for people.

    A list of answers without its last line is a list of fewer answers, and so the next step may be
    another one. A run with another list of images is kept beside the new one (`previous`).
    """
    clock = ("time", "run folder", "stage", "profile", "wrote", "done")
    beside = ("next\t", "previous\t")
    return "\n".join(line for line in text.splitlines() if not line.startswith((*clock, *beside)))


@pytest.mark.parametrize("name", FILES)
def test_report_of_a_damaged_folder_is_right_or_an_error(name: str, commands: Commands) -> None:
    """Each file is damaged in one of the ways, in turn; `report` reads most files."""
    turn = FILES.index(name) % 5
    damage_name = [damage.__name__ for damage in DAMAGES[:5]][turn]
    assert_right_or_an_error(commands, "report", name, [damage_name])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_every_command_on_a_damaged_folder_is_right_or_an_error(
    name: str, command: str, commands: Commands
) -> None:
    assert_right_or_an_error(commands, command, name, [damage.__name__ for damage in DAMAGES])


def test_damaged_files_are_all_files_that_are_read_again(finished_run: ExampleRun) -> None:
    """`FILES` has every file that latte reads again; the others are only for people."""
    written_files = {
        path.relative_to(finished_run.folder).as_posix()
        for path in finished_run.folder.rglob("*")
        if path.is_file()
    }
    unread = {".lock", "data/skipped.csv", "models/adapted/model/README.md"}
    unread |= {
        name for name in written_files if name.startswith(("report/", "checkpoints/step-", "trace"))
    }
    assert written_files - {*FILES} - unread == set()
    assert {*FILES} <= written_files


def test_error_of_a_damaged_file_names_the_file_and_the_fix(commands: Commands) -> None:
    with commands.copy() as folder:
        place = ("evaluate", "models", 0, "classifier", "classes", 0, "correct")
        record(folder, place, recorded(folder, *place) + 100)
        ended = commands("report", folder)
    assert ended.code == 2
    assert ended.err.splitlines()[-2:] == [
        f"error: {folder}/results.json: this file is damaged (evaluate.models.0.classifier: "
        "its counts do not add up)",
        "  remove it and write it again: latte run RECIPE; finished stages are then done again, "
        "descriptions are kept",
    ]
