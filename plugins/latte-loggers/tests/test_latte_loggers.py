"""Logs are read back: event files, W&B's offline files, Trackio's database."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from latte_author.testing import ReporterContract
from latte_author.testing.reporter import call_hooks
from latte_author.testing.results import run_results
from latte_loggers import latte_components

from latte.api import ComponentSpec, Figures, LatteError, RunResults, RunStart

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give W&B a temporary user folder and a key that must stay secret."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def reporter(name: str, folder: Path, **options: Any) -> Any:
    contract = ReporterContract()
    contract.component, contract.options = name, options  # type: ignore[misc]
    return contract.make(folder / "recipe")


class TestTensorBoard(ReporterContract):
    component = "tensorboard"
    options: ClassVar = {"flush_seconds": 10}

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("tensorboard")


@pytest.mark.slow
class TestWandb(ReporterContract):
    component = "wandb"
    options: ClassVar = {"project": "pets", "tags": ["a"]}

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("wandb")


@pytest.mark.slow
class TestTrackio(ReporterContract):
    component = "trackio"
    options: ClassVar = {"project": "pets"}

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("trackio")


@pytest.mark.parametrize("spec", [*latte_components()], ids=lambda spec: spec.name)
def test_a_missing_package_is_refused_before_the_run(
    spec: ComponentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte_loggers.logger.find_spec", lambda name: None)
    with pytest.raises(LatteError, match=spec.name) as caught:
        reporter(spec.name, tmp_path)
    assert caught.value.hint == f"pip install 'latte-loggers[{spec.name}]'"


def scalars(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """As TensorBoard itself reads them."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return {
        tag: [(event.step, pytest.approx(event.value)) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def texts(folder: Path) -> str:
    """Everything in the event files, as far as it is text."""
    return "".join(
        path.read_bytes().decode("utf-8", "ignore") for path in (folder / "tensorboard").iterdir()
    )


@pytest.fixture
def tensorboard() -> None:
    pytest.importorskip("tensorboard")


@pytest.mark.usefixtures("tensorboard")
def test_tensorboard_has_steps_epochs_and_the_result(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    files = call_hooks(reporter("tensorboard", tmp_path), results)
    events = scalars(results.folder)
    assert [path.parent for path in files] == [results.folder / "tensorboard"]
    assert dict(events["train/loss"]) == {1: 2.0, 2: 1.0}
    assert events["epoch/top1"] == [(2, 0.6)]
    assert events["result/adapted/gain_low"] == [(2, 0.02)]
    assert events["seconds/train"] == [(2, 2.5)]


@pytest.mark.usefixtures("tensorboard")
def test_a_resumed_run_supersedes_the_steps_that_it_repeats(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    start = RunStart("pets", results.folder, {}, 0, ("cat",))
    for first_step, last_step in ((1, 4), (3, 6)):
        logger = reporter("tensorboard", tmp_path)
        logger.on_run_start(start)
        logger.on_steps(
            [Figures(step, 0, {"loss": 1 / step}) for step in range(first_step, last_step + 1)]
        )
        logger.on_run_failure(KeyboardInterrupt())
    assert [step for step, _ in scalars(results.folder)["train/loss"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("tensorboard")
def test_a_report_alone_makes_the_whole_log_once(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    files = reporter("tensorboard", tmp_path).report(results)
    content = [path.read_bytes() for path in files]
    rewritten_files = reporter("tensorboard", tmp_path).report(results)
    assert (rewritten_files, [path.read_bytes() for path in rewritten_files]) == (files, content)
    assert scalars(results.folder)["train/loss"] == [(1, 2.0), (2, 1.0)]


def train_then_evaluate(name: str, folder: Path) -> list[Path]:
    """Train in one command and evaluate in another, and report again; return the log's files."""
    results = run_results(folder)
    training = reporter(name, folder)
    training.on_run_start(RunStart("pets", results.folder, {}, 0, ("cat",)))
    training.on_steps([Figures(step, 0, {"loss": 2.0 / step}) for step in (1, 2)])
    training.on_run_end()
    evaluation = reporter(name, folder)
    evaluation.on_run_start(RunStart("pets", results.folder, {}, 0, ("cat",)))
    files: list[Path] = evaluation.report(results)
    evaluation.on_run_end()
    content = [path.read_bytes() for path in files]
    rewritten_files = reporter(name, folder).report(results)
    assert (rewritten_files, [path.read_bytes() for path in rewritten_files]) == (files, content)
    return files


@pytest.mark.usefixtures("tensorboard")
def test_a_run_evaluated_by_another_command_has_one_result(tmp_path: Path) -> None:
    train_then_evaluate("tensorboard", tmp_path)
    events = scalars(run_results(tmp_path).folder)
    assert events["result/adapted/top1"] == [(2, 0.6)]
    assert events["train/loss"] == [(1, 2.0), (2, 1.0)]


@pytest.mark.usefixtures("tensorboard")
def test_a_run_trained_again_has_its_own_result(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    call_hooks(reporter("tensorboard", tmp_path), results)
    training = reporter("tensorboard", tmp_path)
    training.on_run_start(RunStart("pets", results.folder, {}, 0, ("cat",)))
    training.on_steps([Figures(step, 0, {"loss": 4.0 / step}) for step in (1, 2)])
    training.on_run_end()
    reporter("tensorboard", tmp_path).report(_lasting(results, 9.0))
    assert scalars(results.folder)["seconds/train"] == [(2, 9.0)]


@pytest.mark.slow
def test_trackio_appends_only_the_result_of_another_command(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    (file,) = train_then_evaluate("trackio", tmp_path)
    with sqlite3.connect(file) as database:
        rows = [json.loads(row) for (row,) in database.execute("SELECT metrics FROM metrics")]
    assert [row["train/loss"] for row in rows if "train/loss" in row] == [2.0, 1.0]
    assert [row["seconds/train"] for row in rows if "seconds/train" in row] == [2.5]


@pytest.mark.slow
def test_wandb_appends_only_the_result_of_another_command(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    files = train_then_evaluate("wandb", tmp_path)
    log_records = [record for file in files for record in records(file)]
    assert [record.WhichOneof("record_type") for record in log_records].count("history") == 2
    keys = [item.key for record in log_records for item in record.summary.update]
    assert keys.count("result/adapted/top1") == 1


@pytest.mark.usefixtures("tensorboard")
def test_a_run_without_training_has_a_log_of_its_result(tmp_path: Path) -> None:
    results = replace(run_results(tmp_path), metrics=())
    logger = reporter("tensorboard", tmp_path)
    logger.on_run_start(RunStart("pets", results.folder, {}, 0, ()))
    logger.report(results)
    assert scalars(results.folder)["result/adapted/top1"] == [(0, 0.6)]


@pytest.mark.usefixtures("tensorboard")
def test_secrets_of_the_recipe_are_not_logged(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    recipe = {**results.record.recipe, "describer": {"use": "remote", "api_key": KEY}}
    reporter("tensorboard", tmp_path).report(_with_recipe(results, recipe))
    assert '"api_key": "(hidden)"' in texts(results.folder)
    assert KEY not in texts(results.folder)


def records(path: Path) -> Iterator[Any]:
    """Records of a .wandb file: LevelDB's log format, blocks of 32 KiB after a 7-byte header."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, payload = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if place % 32768 > 32768 - 7:
            place += 32768 - place % 32768
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        payload += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield Record.FromString(payload)
            payload = b""


@pytest.mark.slow
def test_wandb_offline_has_the_figures_and_no_secret(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    results = run_results(tmp_path)
    recipe = {**results.record.recipe, "describer": {"use": "remote", "token": KEY}}
    (file,) = call_hooks(reporter("wandb", tmp_path), results)
    log_records = [*records(file)]
    rows = [
        {
            item.key or item.nested_key[-1]: json.loads(item.value_json)
            for item in record.history.item
        }
        for record in log_records
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row] == [
        (1, 2.0),
        (1, 2.0),
        (2, 1.0),
    ]
    assert [row["epoch/top1"] for row in rows if "epoch/top1" in row] == [0.6]
    (run,) = [record.run for record in log_records if record.WhichOneof("record_type") == "run"][:1]
    assert (run.run_id, run.project, run.host) == ("run", "latte", "hidden")
    other_results = replace(_with_recipe(results, recipe), folder=tmp_path / "other")
    reporter("wandb", tmp_path).report(other_results)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert not [*tmp_path.rglob("requirements.txt")]


@pytest.mark.slow
def test_wandb_marks_a_failed_run(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    results = run_results(tmp_path)
    call_hooks(reporter("wandb", tmp_path), results, ends=False)
    (file,) = (results.folder / "wandb").glob("offline-run-*/*.wandb")
    exits = [
        record.exit.exit_code
        for record in records(file)
        if record.WhichOneof("record_type") == "exit"
    ]
    assert exits == [1]


@pytest.mark.slow
def test_trackio_has_the_figures_and_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "another/user")
    results = run_results(tmp_path)
    (file,) = call_hooks(reporter("trackio", tmp_path), results)
    with sqlite3.connect(file) as database:
        rows = database.execute(
            "SELECT run_name, step, metrics FROM metrics ORDER BY id"
        ).fetchall()
        (config,) = database.execute("SELECT config FROM configs").fetchone()
    figures = [(step, json.loads(metrics)) for _, step, metrics in rows]
    assert {name for name, _, _ in rows} == {"run"}
    assert [step for step, row in figures if "train/loss" in row] == [1, 1, 2]
    assert figures[-1][1]["result/adapted/top1"] == 0.6
    assert json.loads(config)["name"] == "pets"


def _with_recipe(results: RunResults, recipe: dict[str, Any]) -> RunResults:
    source = results.record.source.model_copy(update={"values": recipe})
    return replace(results, record=results.record.model_copy(update={"source": source}))


def _lasting(results: RunResults, seconds: float) -> RunResults:
    train = results.record.stages["train"].model_copy(update={"seconds": seconds})
    return replace(results, record=results.record.model_copy(update={"stages": {"train": train}}))
