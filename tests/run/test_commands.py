"""The commands that work on recipes and run folders, from the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from latte.train import loop
from tests.helpers.command_line import Latte
from tests.helpers.records import recorded
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough


@pytest.fixture
def finished(recipe: Path, shared_runs: SharedRuns) -> Path:
    """A copy of a finished run in `runs/`, beside images equal to its own."""
    return shared_runs.of().copied(Path("runs"))


def test_run_prints_accuracies_and_paths(recipe: Path, latte: Latte) -> None:
    printed = latte("run", recipe)
    assert printed.out.startswith("run folder: runs/squares-")
    facts = [line.split("\t")[0] for line in printed.out.splitlines()[1:]]
    assert {"label", "result", "next", "report", "model", "labels", "predict"} <= {*facts}
    lines = latte("run", recipe, "--verbose").out.split("label\t")[0].splitlines()
    assert any(line.startswith("zero-shot") for line in lines)
    assert any(line.startswith("adapted") for line in lines)
    assert max(map(len, lines)) <= 80
    assert "train" in printed.err


@pytest.mark.parametrize(
    ("checkpoint_every", "where"),
    [
        (50, "training starts from its beginning, and finished stages are reused"),
        (1, "training continues after step 2 of 6"),
    ],
)
def test_interrupted_training_prints_where_it_continues(
    recipe: Path, latte: Latte, monkeypatch: pytest.MonkeyPatch, checkpoint_every: int, where: str
) -> None:
    interrupt_step(monkeypatch, 3)
    printed = latte("run", recipe, f"--set=train.checkpoint_every={checkpoint_every}", code=130)
    assert printed.err.endswith(f"Interrupted. Start the same command again: {where}.\n")


def test_interrupted_control_prints_its_name(
    recipe: Path, latte: Latte, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.write_text(recipe.read_text() + "controls: {short: {train: {max_steps: 3}}}\n")
    interrupt_step(monkeypatch, 6 + 3)
    printed = latte("run", recipe, code=130)
    end = "training continues after step 2 of 3; only control short was interrupted.\n"
    assert printed.err.endswith(f"Interrupted. Start the same command again: {end}")


def interrupt_step(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Raise `KeyboardInterrupt` in place of training step `number` from now on, counted from 1."""
    take, steps = loop.training_step, count(1)

    def step(*arguments: Any) -> Any:
        if next(steps) == number:
            raise KeyboardInterrupt
        return take(*arguments)

    monkeypatch.setattr(loop, "training_step", step)


@pytest.mark.parametrize(
    ("interrupted", "missing", "options"),
    [
        ("latte.run.plan.write_images", "data", ()),
        ("latte.run.plan.adapt", "train", ("--limit", "12")),
        ("latte.run.plan.evaluate", "evaluate", ("--set", "seed=3")),
    ],
)
def test_commands_refuse_a_run_whose_repetition_was_interrupted(
    recipe: Path, latte: Latte, interrupted: str, missing: str, options: tuple[str, ...]
) -> None:
    latte("run", recipe, "--quiet", *options)
    (folder,) = Path("runs").iterdir()
    moved = folder.parent / "moved"
    shutil.copytree(folder, moved)
    tested = Path("test/red/000.jpg")
    tested.write_bytes(tested.read_bytes() + b"\0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interrupted, raise_interrupt)
        latte("run", recipe, "--quiet", *options, code=130)
    commands = (
        ("predict", "IT", "test", "--quiet"),
        ("export", "IT", "--format", "csv", "--output", "labels.csv", "--force"),
        ("evaluate", "IT", "--quiet"),
        ("report", "IT", "--quiet"),
        ("review", "IT", "--show"),
        ("export", "IT", "--format", "onnx"),
    )
    for command in commands:
        printed = latte(*(str(folder) if part == "IT" else part for part in command), code=2)
        assert f"this run is not finished (stage {missing} is missing)" in printed.err
    for command in commands[:2]:
        latte(*(str(moved) if part == "IT" else part for part in command))
    (_, finishing) = " ".join(printed.err.split()).split("finish it: latte ")
    latte(*shlex.split(finishing), "--quiet")
    for command in commands[:2]:
        latte(*(str(folder) if part == "IT" else part for part in command))


def test_unfinished_run_with_overrides_names_the_command_that_finishes_it(
    recipe: Path, latte: Latte
) -> None:
    control = "controls={class: {descriptions: [class]}}"
    settings = ("--set", "seed=5", "--set", "output=else where", "--set", control)
    latte("run", recipe, *settings, "--limit", "5", "--until", "zero-shot", "--quiet")
    (folder,) = Path("else where").iterdir()
    printed = latte("compare", folder, code=2)
    (_, command) = printed.err.split("finish it: latte ")
    latte(*shlex.split(command.splitlines()[0]), "--quiet")
    assert [*Path("else where").iterdir()] == [folder]
    assert not Path("runs").exists()
    latte("compare", folder)


def raise_interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_until_and_dry_run_list_finished_and_remaining_stages(recipe: Path, latte: Latte) -> None:
    planned_at_start = latte("run", recipe, "--dry-run").out
    assert planned_at_start.count("to do") == 7
    assert not Path("runs").exists()
    assert "stopped after stage describe" in latte("run", recipe, "--until", "describe").out
    planned_after_describe = latte("run", recipe, "--dry-run").out
    assert (planned_after_describe.count("reused"), planned_after_describe.count("to do")) == (3, 4)


def test_unknown_stage_is_an_error_that_names_it(recipe: Path, latte: Latte) -> None:
    printed = latte("run", recipe, "--until", "trian", code=2)
    assert "there is no stage `trian`" in printed.err
    assert "train" in printed.err


def test_describe_writes_the_texts_and_run_uses_them(recipe: Path, latte: Latte) -> None:
    path = Path(latte("describe", recipe, "--quiet").out.strip())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 12
    assert all(row["descriptions"].keys() == {"image", "group"} for row in rows)
    assert "describe: reused" in latte("run", recipe).err


def test_evaluate_command_gives_the_accuracies_of_the_run(finished: Path, latte: Latte) -> None:
    evaluated = json.loads(latte("evaluate", finished, "--json", "--quiet").out)
    assert [
        class_row.pop("class")
        for model in evaluated
        for class_row in model["classifier"]["classes"]
    ] == [
        "red",
        "green",
        "blue",
    ] * 2
    models = recorded(finished, "evaluate", "models")
    assert evaluated == [{**model, "calibration": None} for model in models]


def test_predict_gives_the_classes_that_the_run_gave(finished: Path, latte: Latte) -> None:
    reported = latte("predict", finished, "test", "--quiet").out
    rows = list(csv.DictReader(io.StringIO(reported)))
    expected = list(csv.DictReader((finished / "predictions.csv").open()))
    assert [row["class_1"] for row in rows] == [row["class_1"] for row in expected]
    assert float(rows[0]["score_1"]) == pytest.approx(float(expected[0]["score_1"]), abs=1e-5)


def test_predict_writes_jsonl_and_names_unreadable_images(finished: Path, latte: Latte) -> None:
    Path("broken.jpg").write_bytes(b"")
    image = next(Path("test/red").iterdir())
    printed = latte(
        "predict",
        finished,
        image,
        "broken.jpg",
        "--format=jsonl",
        "-o",
        "out.jsonl",
        "--top-k=2",
        code=3,
    )
    (row,) = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert row["image"] == str(image)
    assert len(row["classes"]) == 2
    assert "skipped broken.jpg: the file is empty" in printed.err
    assert "images left out: 1" in printed.err
    assert "images left out, with reasons: out.skipped.csv" in printed.err
    skipped = Path("out.skipped.csv")
    assert skipped.read_text() == "image,reason\nbroken.jpg,the file is empty\n"
    latte("predict", finished, image, "-o", "out.jsonl")
    assert not skipped.exists(), "an older list is removed"
    skipped.write_text("mine")
    printed = latte("predict", finished, image, "-o", "out.jsonl", code=2)
    assert "another kind of file" in printed.err
    assert "no such image" in latte("predict", finished, "absent.jpg", code=2).err


def test_report_is_written_again(finished: Path, latte: Latte) -> None:
    page = finished / "report" / "index.html"
    page.unlink()
    assert "index.html" in latte("report", finished, "--quiet").out
    assert page.exists()


def test_other_folder_is_refused_and_run_folders_beside_it_are_named(
    finished: Path, latte: Latte
) -> None:
    printed = latte("evaluate", "runs/squares", code=2)
    assert "not a run folder" in printed.err
    assert finished.name in printed.err


def test_a_folder_of_run_folders_is_refused_and_the_newest_three_are_named(
    finished: Path, latte: Latte
) -> None:
    for number in range(1, 4):
        copy = Path(shutil.copytree(finished, f"runs/copy-{number}"))
        os.utime(copy / "recipe.yaml", (2**31 + number, 2**31 + number))
    error_output = latte("predict", "runs", "test", code=2).err
    assert "RUN runs: this is not a run folder" in error_output
    assert "newest first: runs/copy-3, runs/copy-2, runs/copy-1 and 1 more" in error_output


def test_the_recipe_of_a_run_folder_continues_that_run(
    recipe: Path, tmp_path: Path, latte: Latte
) -> None:
    Path("recipes").mkdir()
    moved = recipe.rename("recipes/squares.yaml")
    text = moved.read_text().replace("root: images", "root: ../images")
    moved.write_text(text.replace("evaluation: test", "evaluation: ../test"))
    latte("run", moved, "--set", "output=own", "--set", "seed=3")
    (folder,) = Path("own").iterdir()
    repeated = latte("run", folder / "recipe.yaml")
    assert f"run folder: {folder}" in repeated.out
    assert repeated.err.count("reused") == 7
    checked = latte("check", folder / "recipe.yaml").out
    assert f"# {folder}/recipe.yaml is valid" in checked
    assert re.search("^seed: 3 +# line 2$", checked, re.MULTILINE)
    latte("run", folder / "recipe.yaml", "--set", "output=other", "--dry-run")
    assert not Path("runs").exists()


@pytest.mark.parametrize("limit", [(), ("--limit", "10")])
def test_the_printed_command_adapts_without_the_guard(
    recipe: Path, latte: Latte, fixed_guard: Path, limit: tuple[str, ...]
) -> None:
    guard = ("--set", "guard={use: fixed, strength: 0}", "--set", "output=my runs")
    printed = latte("run", recipe, "--verbose", *guard, *limit)
    (command,) = re.findall("without the guard:\n  latte (run .+)", printed.out)
    (folder,) = Path("my runs").iterdir()
    assert recorded(folder, "judge", "verdict") is not None
    images = (folder / "data" / "training.jsonl").read_text()
    repeated = latte(*shlex.split(command))
    assert [*Path("my runs").iterdir()] == [folder]
    assert "train: reused" in repeated.err and recorded(folder, "judge", "verdict") is None
    assert (folder / "data" / "training.jsonl").read_text() == images


def test_an_exported_model_opens_in_plain_open_clip_with_the_same_features(finished: Path) -> None:
    from latte.backbone.load import load_backbone
    from latte.interfaces.settings import BackboneSettings

    script = (
        "import json, open_clip, torch\n"
        f"name = 'local-dir:{finished.absolute() / 'models/adapted/model'}'\n"
        "model, _, preprocess = open_clip.create_model_and_transforms(name)\n"
        "tokens = open_clip.get_tokenizer(name)(['a red square'])\n"
        "with torch.no_grad():\n"
        "    pixels = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)\n"
        "    features = [model.encode_image(pixels, normalize=True),\n"
        "                model.eval().encode_text(tokens, normalize=True)]\n"
        "print(json.dumps([one[0].tolist() for one in features]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(finished.parent),
        capture_output=True,
        text=True,
        check=True,
    )
    plain = json.loads(ended.stdout)

    import torch

    ours = load_backbone(
        BackboneSettings(model=f"local-dir:{finished.absolute() / 'models/adapted/model'}"),
        device="cpu",
        base_dir=Path(),
        model_folder=lambda name: Path(name),
    )
    pixels = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.no_grad():
        image, text = ours.encode_images(pixels)[0], ours.encode_texts(["a red square"])[0]
    assert torch.allclose(torch.tensor(plain[0]), image, atol=1e-6)
    assert torch.allclose(torch.tensor(plain[1]), text, atol=1e-6)
