"""A run folder is untrusted input: a changed field is refused, or changes only its own meaning."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from latte.cli.main import run_command_line
from tests.helpers.changed_fields import (
    TENSOR_CHANGES,
    FieldPath,
    change,
    change_tensor,
    fields,
    other_values,
    read,
    tensor_names,
    value_at,
)
from tests.helpers.damage import JSON_FILES
from tests.helpers.finished_runs import ExampleRun, copied

pytestmark = pytest.mark.thorough

TENSOR_FILES = ("models/adapted/prototypes.safetensors", "zero_shot.safetensors")
COMMANDS: dict[str, list[str]] = {
    "predict": ["RUN", "PHOTO", "--quiet", "--format", "jsonl"],
    "compare": ["RUN", "--csv", "TABLE", "--html", "PAGE", "--force"],
    "report": ["RUN", "--quiet"],
    "evaluate": ["RUN", "--json", "--quiet"],
    "review": ["RUN", "--show", "--json"],
    "export": ["RUN", "--format", "csv", "-o", "TABLE", "--force"],
    "run": ["RECIPE", "--set", "output=RUNS", "--profile", "--quiet"],
}
Change = Callable[[Path], None]


class Trial:
    """Commands on copies of a finished run in which one field is changed."""

    def __init__(self, run: ExampleRun, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.run = run
        self.place = place
        self.capsys = capsys
        Image.new("RGB", (40, 36), "red").save(place / "photo.png")

    def __call__(self, command: str, name: str, changed: Change, what: object) -> int:
        folder = copied(self.run, self.place)
        try:
            changed(folder / name)
            return self._run(command, folder, f"{command} with {name} {what}")
        finally:
            shutil.rmtree(self.place / "runs")

    def _run(self, command: str, folder: Path, what: str) -> int:
        paths = {
            "RUN": folder,
            "PHOTO": self.place / "photo.png",
            "TABLE": self.place / "t.csv",
            "PAGE": self.place / "t.html",
            "RECIPE": self.run.recipe,
            "output=RUNS": f"output={folder.parent}",
        }
        arguments = [str(paths.get(argument, argument)) for argument in COMMANDS[command]]
        self.capsys.readouterr()
        code = run_command_line([command, *arguments])
        captured = self.capsys.readouterr()
        what = f"{what}: {captured.err}"
        assert "Traceback" not in captured.err, what
        assert code in (0, 2), what
        if code:
            assert str(folder) in captured.err, what
        elif "--json" in arguments:
            json.loads(captured.out, parse_constant=pytest.fail)
        elif command == "predict":
            scores = [class_score["score"] for class_score in json.loads(captured.out)["classes"]]
            assert sum(scores) == pytest.approx(1, abs=1e-4), what
        if not code and command in ("report", "run", "compare"):
            page = folder / "report" / "index.html"
            text = (paths["PAGE"] if command == "compare" else page).read_text()
            assert not re.search(r">\s*[-+−]?(nan|inf)\b", text), what
        return code


@pytest.fixture
def trial(
    finished_run: ExampleRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fixed_guard: Path,
) -> Trial:
    monkeypatch.setenv("LATTE_CACHE", str(finished_run.cache))
    return Trial(finished_run, tmp_path, capsys)


def json_changes(run: ExampleRun) -> Iterator[tuple[str, FieldPath, Any]]:
    for name in JSON_FILES:
        data = read(run.folder / name)
        for place in fields(data):
            for value in other_values(value_at(data, place)):
                yield name, place, value


def try_json_changes(trial: Trial, examples: int) -> None:
    places: dict[tuple[str, FieldPath], list[Any]] = {}
    for name, place, value in json_changes(trial.run):
        places.setdefault((name, place), []).append(value)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(JSON_FILES))
        fields = [(name, place) for name, place in places if name == file]
        field = data.draw(st.sampled_from(fields))
        value = data.draw(st.sampled_from(places[field]))
        command = data.draw(st.sampled_from([*COMMANDS]))
        _, place = field
        trial(command, file, lambda path: change(path, place, value), (place, str(value)[:40]))

    attempt()


def test_changed_field_is_refused_or_changes_its_meaning(trial: Trial) -> None:
    try_json_changes(trial, 30)


@pytest.mark.slow
def test_many_changed_fields_are_refused_or_change_their_meaning(trial: Trial) -> None:
    try_json_changes(trial, 1000)


@pytest.mark.parametrize(
    ("command", "file", "place", "value"),
    [
        ("run", "profile.json", ("steps", "steps"), 0),
        ("run", "profile.json", ("steps", "seconds"), 0.0),
        ("run", "profile.json", ("stages", 1, "peak_memory_mb"), 1e308),
        ("report", "metrics.jsonl", (0, "step"), 10**400),
        ("report", "metrics.jsonl", (2, "top1"), 1e308),
    ],
)
def test_impossible_figure_is_refused(
    trial: Trial, command: str, file: str, place: FieldPath, value: object
) -> None:
    assert trial(command, file, lambda path: change(path, place, value), place) == 2


@pytest.mark.parametrize("file", TENSOR_FILES)
def test_changed_tensor_is_refused_or_changes_its_meaning(trial: Trial, file: str) -> None:
    command = "predict" if "prototypes" in file else "report"
    for tensor in tensor_names(trial.run.folder / file):
        for what, changed in TENSOR_CHANGES.items():

            def apply(path: Path, tensor: str = tensor, changed: Any = changed) -> None:
                change_tensor(path, tensor, changed)

            trial(command, file, apply, (tensor, what))


REFUSED_TENSORS = [
    "a zero row",
    "a large row",
    "a row of nan",
    "all zero",
    "half precision",
    "double precision",
    "narrower",
    "a row less",
]


@pytest.mark.parametrize("command", ["predict", "report"])
@pytest.mark.parametrize("what", REFUSED_TENSORS)
def test_unusable_prototypes_are_refused(trial: Trial, what: str, command: str) -> None:
    changed = TENSOR_CHANGES[what]
    file, name = "models/adapted/prototypes.safetensors", "main.weights"
    assert trial(command, file, lambda path: change_tensor(path, name, changed), what) == 2


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("evaluate", "models", 1, "calibration", "scale"), 1e308),
        (("evaluate", "models", 1, "calibration", "scale"), float("nan")),
        (("evaluate", "models", 1, "calibration", "logit_scale"), 0.0),
        (("evaluate", "models", 1, "calibration", "error"), 1.5),
        (("evaluate", "models", 1, "name"), "other"),
        (("evaluate", "models", 1, "classifier", "top1", "low"), 0.99),
        (("evaluate", "models", 0, "classifier", "top5"), -0.5),
        (("evaluate", "unsupported"), ["purple"]),
        (("describe", "held_back", 0, "held_back"), 10**6),
        (("stages", "train", "seconds"), float("inf")),
        (("stages", "train", "peak_memory_mb"), 1e308),
        (("judge", "verdict", "strength"), 1.5),
        (("environment", "threads"), float("nan")),
        (("source", "recipe"), "\0"),
        (("source", "limit"), 0),
        (("data", "class_names"), ["red", "red", "blue"]),
    ],
)
def test_impossible_value_is_an_error_that_names_file_and_command(
    trial: Trial, place: FieldPath, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(trial.run, trial.place)
    change(folder / "results.json", place, value)
    assert run_command_line(["report", str(folder)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-2].startswith(f"error: {folder}/results.json: this file is damaged (")
    assert "latte run" in error[-1] or "done again" in error[-1]
