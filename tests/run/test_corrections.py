"""Answers of a review reach training only where a person chose to teach, and are marked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import latte
from latte.cli.main import run_command_line
from latte.interfaces import LabelStream, LatteError
from latte.results.answers import Answer, append_answers
from latte.results.run import open_run
from latte.train.step import _corrected
from tests.helpers.finished_runs import ExampleRun
from tests.helpers.guards import fixed
from tests.helpers.recorded import write_colour_images
from tests.helpers.records import recorded
from tests.helpers.reviews import made_up_review
from tests.helpers.whole_runs import run

NAMES = ("red", "green", "blue")


def test_given_labels_replace_those_of_a_stream_with_full_weight() -> None:
    stream = LabelStream("current", torch.tensor([0, 1, 2]), torch.tensor([0.5, 0.0, 0.2]))
    found = _corrected(stream, torch.tensor([-1, 2, -1]))
    assert found.labels.tolist() == [0, 2, 2]
    assert found.weights.tolist() == pytest.approx([0.5, 1.0, 0.2])


@pytest.mark.thorough
def test_only_teaching_answers_change_a_run(
    tmp_path: Path,
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 3, (40, 36))
    recipe = tmp_path / "squares.yaml"
    recipe.write_text(
        f"""
name: squares
dataset: {{use: folder, root: images, classes: folders}}
backbone: {{model: "local-dir:{tiny_clip_folder}"}}
labels: [transductive]
prototypes: from-labeler
train: {{max_epochs: 0}}
"""
    )
    run = ["run", str(recipe), "--set", f"output={tmp_path / 'runs'}", "--quiet"]
    assert run_command_line(run) == 0
    (plain,) = (tmp_path / "runs").iterdir()
    before = labels(plain)
    first, second = open_run(plain).rows.training_keys[:2]
    other = {name: NAMES[(NAMES.index(name) + 1) % 3] for name in NAMES}
    answers = [
        Answer(first, "class", other[before[0]], "teaching", "images", plain.name, ""),
        Answer(second, "class", other[before[1]], "evidence", "evidence", plain.name, ""),
    ]
    append_answers(plain / "review.jsonl", answers[1:])
    taught = [*run, "--set", f"corrections=runs/{plain.name}/review.jsonl"]
    assert run_command_line(taught) == 0
    (folder,) = set((tmp_path / "runs").iterdir()) - {plain}
    assert labels(folder) == before, "evidence is never learned from"
    append_answers(plain / "review.jsonl", answers[:1])
    assert run_command_line([one for one in taught if one != "--quiet"]) == 0
    assert labels(folder)[0] == other[before[0]]
    assert "Corrected: labels that a person gave" in " ".join(capsys.readouterr().out.split())
    # The run is measured on evidence images only, with the same file of answers.
    assert run_command_line(["review", str(folder), "--show", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] < 9
    # The corrected image is certain, and has no second class.
    uncertain = [json.loads(line) for line in (folder / "uncertain.jsonl").open()]
    corrected = next(
        one for one in uncertain if one["image"] == open_run(folder).rows.training_ids[0]
    )
    assert len(corrected["classes"]) == 1


@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_predict_gives_the_class_that_a_person_gave(
    recipe: Path, fixed_guard: Path, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the guard accepts."""
    settings = ("labels=[transductive]", "prototypes=from-labeler", "train.max_steps=0")
    recipe_of = ("describer=null", "descriptions=[]", "loss=null", *settings, fixed(strength))
    plain, _, _ = run(recipe, *recipe_of)
    key, name = open_run(plain).rows.training_keys[0], labels(plain)[0]
    other = NAMES[(NAMES.index(name) + 1) % 3]
    answer = Answer(key, "class", other, "teaching", "images", plain.name, "")
    append_answers(plain / "review.jsonl", [answer])
    monkeypatch.setenv("JUDGED", str(recipe.parent / "judged.json"))
    taught, _, _ = run(recipe, *recipe_of, f"corrections={plain / 'review.jsonl'}")
    found = latte.load(taught).predict(recipe.parent / "images")
    row = open_run(taught).rows.training_ids.index(open_run(plain).rows.training_ids[0])
    assert labels(taught)[row] == other
    (own,) = (one for one in found if one.image.endswith(open_run(plain).rows.training_ids[0]))
    assert (own.classes[0].name, own.confidence, own.source) == (other, 1.0, "own")
    evidence = json.loads((recipe.parent / "judged.json").read_text())
    assert evidence["corrections"] == [NAMES.index(other), *[-1] * 11]
    calibration = recorded(taught, "evaluate", "calibration")
    assert calibration["images"] == 11, "the image of known class is left out"


@pytest.mark.thorough
def test_a_repeated_run_names_the_command_that_learns_and_the_run_that_learned(
    recipe: Path, fixed_guard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(recipe), "--quiet"]
    assert run_command_line(command) == 0
    assert "for teaching" not in capsys.readouterr().out
    (plain,) = Path("runs").iterdir()
    key = open_run(plain).rows.training_keys[0]
    append_answers(
        plain / "review.jsonl", [Answer(key, "class", "red", "teaching", "x", plain.name, "")]
    )
    assert run_command_line(command) == 0
    said = capsys.readouterr().out
    assert f"1 answer teaches; next step: latte review {plain} --learn" in said
    assert "with your corrections" not in said
    assert run_command_line(["review", str(plain), "--learn"]) == 0
    (learned,) = set(Path("runs").iterdir()) - {plain}
    assert "for teaching" not in capsys.readouterr().out
    assert run_command_line(command) == 0
    assert f"run with your corrections: {learned}" in capsys.readouterr().out
    # Its recipe has corrections, which are found beside the original recipe.
    again = ["run", str(learned / "recipe.yaml"), "--quiet"]
    assert run_command_line(again) == 0
    assert set(Path("runs").iterdir()) == {plain, learned}


@pytest.mark.thorough
def test_damaged_classes_of_a_person_are_an_error(recipe: Path) -> None:
    settings = ("describer=null", "descriptions=[class]", "labels=[frozen]", "train.max_steps=0")
    plain, _, _ = run(recipe, *settings)
    (plain / "review.jsonl").touch()
    folder, _, _ = run(recipe, *settings, f"corrections={plain / 'review.jsonl'}")
    path, photo = folder / "corrected.json", next((recipe.parent / "images").rglob("*.jpg"))
    assert json.loads(path.read_text()) == {}
    assert latte.load(folder).own is None, "no image needs the column `source`"
    key = open_run(folder).rows.training_keys[0]
    for damaged in (3, -1, 2**60, True, "red", None, 0.5):
        path.write_text(json.dumps({key: damaged}))
        with pytest.raises(LatteError, match="damaged") as caught:
            latte.load(folder).predict(photo)
        assert str(caught.value.where) == str(path)
    path.write_text("[]")
    with pytest.raises(LatteError, match="damaged"):
        latte.load(folder)
    path.unlink()
    with pytest.raises(LatteError, match="no such file"):
        latte.load(folder)


def labels(folder: Path) -> list[str]:
    with (folder / "pseudo_labels.csv").open(newline="") as file:
        return [row["adapted"] for row in csv.DictReader(file)]


@pytest.mark.thorough
def test_unknown_names_and_missing_files_are_errors(
    finished_run: ExampleRun, fixed_guard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = open_run(finished_run.folder).rows.training_keys[0]
    answer = Answer(key, "class", "gren", "teaching", "images", "squares", "")
    beside = made_up_review(tmp_path / "made up", NAMES).file
    for file in (beside, tmp_path / "review.jsonl"):
        append_answers(file, [answer])
    for file, message in (
        (tmp_path / "none.jsonl", "no file"),
        (tmp_path / "review.jsonl", "must be the review.jsonl of a run folder"),
        (beside, "put this name back, or remove the lines"),
    ):
        arguments = ["run", str(finished_run.recipe), "--set", f"corrections={file}"]
        assert run_command_line([*arguments, "--set", f"output={tmp_path}"]) == 2
        assert message in capsys.readouterr().err
