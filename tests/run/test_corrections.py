"""All classes that a person gave teach, at every door, and runs with them are marked."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import latte
from latte.cli.main import run_command_line
from latte.interfaces import LabelStream, LatteError, Posterior
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.results.answers import Answer, append_answers
from latte.results.run import open_run
from latte.run.corrections import _corrected
from tests.helpers.finished_runs import ExampleRun
from tests.helpers.guards import fixed
from tests.helpers.recorded import write_colour_images
from tests.helpers.records import recorded
from tests.helpers.whole_runs import run

NAMES = ("red", "green", "blue")


def test_given_labels_replace_those_of_a_stream_with_full_weight() -> None:
    stream = LabelStream("current", torch.tensor([0, 1, 2]), torch.tensor([0.5, 0.0, 0.2]))
    corrected = _corrected(stream, torch.tensor([-1, 2, -1]))
    assert corrected.labels.tolist() == [0, 2, 2]
    assert corrected.weights.tolist() == pytest.approx([0.5, 1.0, 0.2])


def test_given_labels_come_first_in_the_posterior_of_a_stream() -> None:
    posterior = Posterior(
        torch.tensor([[2, 0], [2, 0], [1, 2]]), torch.tensor([[0.7, 0.2], [0.6, 0.3], [0.9, 0.1]])
    )
    labels = torch.tensor([2, 2, 1])
    stream = LabelStream("frozen", labels, torch.ones(3), posterior=posterior)
    corrected = _corrected(stream, torch.tensor([0, 1, -1]))
    assert corrected.labels.tolist() == [0, 1, 1]
    assert corrected.posterior is not None
    assert corrected.posterior.labels.tolist() == [[0, 2], [1, 2], [1, 2]]
    assert torch.equal(
        corrected.posterior.probabilities, torch.tensor([[1, 0], [1, 0], [0.9, 0.1]])
    )


@pytest.mark.thorough
def test_answers_of_all_tasks_teach_a_run(
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
labels: [self-taught]
prototypes: from-labeler
train: {{max_epochs: 0}}
"""
    )
    run = ["run", str(recipe), "--set", f"output={tmp_path / 'runs'}", "--quiet"]
    assert run_command_line(run) == 0
    (plain,) = (tmp_path / "runs").iterdir()
    plain_labels = labels(plain)
    first_key, second_key = open_run(plain).rows.training_keys[:2]
    given_names = [NAMES[(NAMES.index(plain_labels[0]) + shift) % 3] for shift in (1, 2)]
    answers = [
        Answer(first_key, "class", given_names[0], "images", plain.name, ""),
        Answer(second_key, "class", given_names[1], "evidence", plain.name, ""),
    ]
    append_answers(plain / "review.jsonl", answers)
    taught = [*run, "--set", f"corrections=runs/{plain.name}/review.jsonl"]
    assert run_command_line([*taught, "--verbose"]) == 0
    (folder,) = set((tmp_path / "runs").iterdir()) - {plain}
    assert labels(folder)[:2] == given_names
    assert "Corrected: labels that a person gave" in " ".join(capsys.readouterr().out.split())
    # The review of the new run asks about images that did not teach.
    assert run_command_line(["review", str(folder), "--show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 9 - 2
    # The corrected image is certain, and has no second class.
    uncertain = [json.loads(line) for line in (folder / "uncertain.jsonl").open()]
    corrected = next(
        row for row in uncertain if row["image"] == open_run(folder).rows.training_ids[0]
    )
    assert len(corrected["classes"]) == 1


@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_predict_gives_the_class_that_a_person_gave(
    recipe: Path, fixed_guard: Path, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the guard accepts."""
    settings = ("labels=[self-taught]", "prototypes=from-labeler", "train.max_steps=0")
    recipe_of = ("describer=null", "descriptions=[]", "loss=null", *settings, fixed(strength))
    plain, _, _ = run(recipe, *recipe_of)
    keys, name = open_run(plain).rows.training_keys, labels(plain)[0]
    second_name, third_name = (NAMES[(NAMES.index(name) + shift) % 3] for shift in (1, 2))
    answers = [
        Answer(keys[0], "class", second_name, "images", plain.name, ""),
        Answer(keys[1], "class", third_name, "images", plain.name, ""),
    ]
    append_answers(plain / "review.jsonl", answers)
    monkeypatch.setenv("JUDGED", str(recipe.parent / "judged.json"))
    taught, _, _ = run(recipe, *recipe_of, f"corrections={plain / 'review.jsonl'}")
    predictions = latte.load(taught).predict(recipe.parent / "images")
    row = open_run(taught).rows.training_ids.index(open_run(plain).rows.training_ids[0])
    assert labels(taught)[row] == second_name
    (corrected,) = (
        prediction
        for prediction in predictions
        if prediction.image.endswith(open_run(plain).rows.training_ids[0])
    )
    assert corrected.classes[0].name == second_name
    assert (corrected.confidence, corrected.source) == (1.0, "own")
    evidence = json.loads((recipe.parent / "judged.json").read_text())
    corrected_labels = [NAMES.index(second_name), NAMES.index(third_name)]
    assert evidence["corrections"] == [*corrected_labels, *[-1] * 10]
    calibration = recorded(taught, "evaluate", "models", 1, "calibration")
    assert calibration["images"] == 10, "images of known class are left out"


@pytest.mark.thorough
def test_a_repeated_run_names_the_command_that_learns_and_the_run_that_learned(
    recipe: Path, fixed_guard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(recipe), "--quiet", "--verbose"]
    assert run_command_line(command) == 0
    assert "teach; next step" not in capsys.readouterr().out
    (plain,) = Path("runs").iterdir()
    keys = open_run(plain).rows.training_keys
    answers = [
        Answer(key, "class", name, "images", plain.name, "")
        for key, name in zip(keys[:2], NAMES[:2], strict=True)
    ]
    append_answers(plain / "review.jsonl", answers)
    assert run_command_line(command) == 0
    printed = capsys.readouterr().out
    assert f"2 answers teach; next step: latte review {plain} --learn" in printed
    assert "with your answers" not in printed
    assert run_command_line(["review", str(plain), "--learn"]) == 0
    (learned,) = set(Path("runs").iterdir()) - {plain}
    assert "teach; next step" not in capsys.readouterr().out
    assert run_command_line(command) == 0
    assert f"run with your answers: {learned}" in capsys.readouterr().out
    # Its recipe has corrections, which are found beside the original recipe.
    repeated_command = ["run", str(learned / "recipe.yaml"), "--quiet"]
    assert run_command_line(repeated_command) == 0
    assert set(Path("runs").iterdir()) == {plain, learned}


@pytest.mark.thorough
def test_damaged_classes_of_a_person_are_an_error(recipe: Path) -> None:
    settings = ("describer=null", "descriptions=[class]", "labels=[frozen]", "train.max_steps=0")
    table = recipe.parent / "labels.csv"
    table.write_text("path,class\npart-0/000.jpg,red\npart-1/000.jpg,blue\n")
    folder, _, _ = run(recipe, *settings, f"corrections={table}")
    path, photo = folder / "corrected.json", next((recipe.parent / "images").rglob("*.jpg"))
    key = open_run(folder).rows.training_keys[0]
    for damaged in (3, -2, 2**60, True, "red", None, 0.5):
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
    answer = Answer(key, "class", "gren", "images", "squares", "")
    append_answers(tmp_path / "review.jsonl", [answer])
    for name, messages in (
        ("none.jsonl", ["none.jsonl"]),
        ("review.jsonl", ["1 answer names a class not in your list", "nearest: green", "no label"]),
    ):
        arguments = ["run", str(finished_run.recipe), "--set", f"corrections={tmp_path / name}"]
        assert run_command_line([*arguments, "--set", f"output={tmp_path}"]) == 2
        printed = " ".join(capsys.readouterr().err.split())
        assert all(message in printed for message in messages)


def test_examples_beside_the_dataset_train_and_are_not_listed(
    recipe: Path, colour_images: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in a recipe with texts and training steps; its reports are written again."""
    examples = colour_images(per_class=2, size=(38, 44), folder="examples")
    folder, _, progress = run(recipe, f"corrections={examples}")
    opened = open_run(folder)
    assert len(opened.rows.training_ids) == len(opened.rows.pseudo_labels.adapted) == 12
    assert json.loads((folder / "corrected.json").read_text()) == {}
    assert {task.name: task.total for task in progress.tasks}["check examples"] == 6
    answers = recorded(folder, "train", "answers")
    assert (answers["answers"], answers["classes"], answers["measured"]) == (6, 3, None)
    texts = (folder / "descriptions.jsonl").read_text()
    assert "examples/" in texts, "examples have texts, too"
    assert run_command_line(["report", str(folder), "--quiet"]) == 0
    capsys.readouterr()
    # Other examples are another training set.
    shutil.rmtree(examples / "red")
    repeated, _, repeated_progress = run(recipe, f"corrections={examples}")
    assert repeated == folder
    assert not any("reused" in line for line in repeated_progress.lines if line.startswith("train"))
    # The dataset's images have not changed, so the earlier run is replaced, not moved.
    assert not folder.with_name(f"{folder.name}.previous").exists()


def test_an_example_elsewhere_is_not_sent_to_another_machine(
    recipe: Path, colour_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = colour_images(per_class=1, size=(38, 44), folder="examples")
    labels = recipe.parent / "lists" / "labels.csv"
    labels.parent.mkdir()
    rows = [f"{path.absolute()},{path.parent.name}\n" for path in examples.rglob("*.jpg")]
    labels.write_text("".join(["path,class\n", *rows]))
    run(recipe, f"corrections={labels}")
    describer = load_recipe(recipe, load_registry()).describers[0]
    monkeypatch.setattr(type(describer.options), "sends_to", "https://describer.example")
    with pytest.raises(LatteError, match="would be sent to") as caught:
        run(recipe, f"corrections={labels}", "seed=1")
    assert str(examples) in str(caught.value.where)
