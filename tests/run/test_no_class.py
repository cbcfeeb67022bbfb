"""Answers "none of these": labels, predictions, sorted images, exports and reports agree."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import latte
from latte.cli.main import run_command_line
from latte.interfaces import ImageReference
from latte.interfaces.questions import NONE_OF_THESE
from latte.io.files import digest
from latte.results.answers import Answer, append_answers
from latte.results.given_labels import read_labels
from latte.results.named_images import NamedImages
from latte.results.run import open_run
from tests.helpers.guards import fixed
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

SETTINGS = (
    *("labels=[self-taught]", "prototypes=from-labeler", "train.max_steps=0"),
    *("describer=null", "descriptions=[]", "loss=null"),
)
Rows = list[dict[str, str]]


def rows_of(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def taught(recipe: Path, none: int, *settings: str) -> Path:
    """Return a run that two named images and `none` images of no class taught."""
    plain, _, _ = run(recipe, *SETTINGS, *settings)
    keys = open_run(plain).rows.training_keys
    answers = [
        Answer(key, "class", name, "images", plain.name, "")
        for key, name in zip(keys[:2], ("red", "blue"), strict=True)
    ]
    answers += [Answer(key, "none", None, "images", plain.name, "") for key in keys[2 : 2 + none]]
    append_answers(plain / "review.jsonl", answers)
    return run(recipe, *SETTINGS, *settings, f"corrections={plain / 'review.jsonl'}")[0]


def predicted(folder: Path, images: Path, *options: str) -> Rows:
    """Return the rows of `latte predict` by content of the image."""
    output = folder.parent / "labels.csv"
    command = ["predict", str(folder), str(images), "--force", "--output", str(output), *options]
    assert run_command_line(command) == 0
    rows = rows_of(output)
    return [{**row, "key": digest(Path(row["image"]).read_bytes())} for row in rows]


def test_labels_of_a_taught_run_agree_everywhere(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, images = taught(recipe, 3), recipe.parent / "images"
    opened, labels = open_run(folder), rows_of(folder / "pseudo_labels.csv")
    assert [*labels[0]][5:] == ["class_1", "score_1", "match"]
    assert [row["adapted"] for row in labels[:5]] == ["red", "blue", *[NONE_OF_THESE] * 3]
    assert [float(row["confidence"]) for row in labels[:5]] == [1] * 5
    for row in labels:
        is_none = float(row["match"]) < 0.5
        probability = 1 - float(row["match"]) if is_none else float(row["score_1"])
        assert row["adapted"] == (NONE_OF_THESE if is_none else row["class_1"])
        assert float(row["confidence"]) == pytest.approx(probability, abs=2e-6)

    adapted = dict(zip(opened.rows.training_keys, labels, strict=True))
    own = predicted(folder, images, "--sort-into", "sorted", "--quiet")
    for row in own:
        label = adapted[row["key"]]
        assert (row["class_1"], row["match"]) == (label["adapted"], label["match"])
        assert float(row["score_1"]) == pytest.approx(float(label["confidence"]), abs=2e-6)
    counts = Counter(row["adapted"] for row in labels)
    assert len([*Path("sorted/unknown").iterdir()]) == counts[NONE_OF_THESE] >= 3

    assert opened.rows.pseudo_labels.none == {
        number for number, row in enumerate(labels) if row["adapted"] == NONE_OF_THESE
    }
    capsys.readouterr()
    assert run_command_line(["report", str(folder)]) == 0
    page = (folder / "report" / "index.html").read_text()
    photos = f"12 photos in {len(counts) - 1} class"
    assert photos in page
    assert f", {counts[NONE_OF_THESE]} in none" in page
    shown = json.loads((folder / "uncertain.jsonl").read_text().splitlines()[0])
    assert shown["image"] not in opened.rows.training_ids[2:5], "the answers left no doubt"


@pytest.mark.parametrize("format_", ["csv", "jsonl", "imagefolder", "label-studio", "fiftyone"])
def test_exported_none_is_read_back_as_an_answer(recipe: Path, format_: str) -> None:
    folder, output = taught(recipe, 3), Path(f"out.{format_}")
    command = ["export", str(folder), "--format", format_, "-o", str(output)]
    assert run_command_line(command) == 0
    if format_ == "label-studio":
        tasks = json.loads(output.read_text())
        output.write_text(
            json.dumps([{**task, "annotations": task["predictions"]} for task in tasks])
        )
        assert f'"{NONE_OF_THESE}"' in output.with_name("out-interface.xml").read_text()
    opened = open_run(folder)
    keys = dict(zip(opened.rows.training_ids, opened.rows.training_keys, strict=True))
    references = [ImageReference(name, (recipe.parent / "images" / name)) for name in keys]
    given = read_labels(output, NamedImages(keys, lambda: references), opened.class_names)
    labels = rows_of(folder / "pseudo_labels.csv")
    assert {key: label.is_none for key, label in given.items()} == {
        keys[row["image"]]: row["adapted"] == NONE_OF_THESE for row in labels
    }


def test_new_images_get_a_probability_of_no_class(recipe: Path) -> None:
    folder, test = taught(recipe, 3), recipe.parent / "test"
    model = latte.load(folder)
    predictions = model.predict(test, top_k=3)
    for prediction in predictions:
        assert prediction.source == "classifier"
        assert prediction.match is not None and 0 < prediction.match < 1
        total = sum(scored.score for scored in prediction.classes)
        assert total == pytest.approx(prediction.match, abs=1e-5)
    expected = torch.tensor([prediction.match for prediction in predictions])
    torch.testing.assert_close(model.probabilities(test).sum(dim=1), expected)
    for row, prediction in zip(predicted(folder, test), predictions, strict=True):
        is_none = (prediction.match or 0) < 0.5
        assert row["class_1"] == (NONE_OF_THESE if is_none else prediction.name)
        score = 1 - (prediction.match or 0) if is_none else prediction.confidence
        assert float(row["score_1"]) == pytest.approx(score, abs=2e-6)


def test_fewer_answers_leave_the_image_of_the_answer_alone_without_class(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, images = taught(recipe, 1), recipe.parent / "images"
    key = open_run(folder).rows.training_keys[2]
    labels = rows_of(folder / "pseudo_labels.csv")
    assert [row["adapted"] == NONE_OF_THESE for row in labels] == [n == 2 for n in range(12)]
    capsys.readouterr()
    own = predicted(folder, images)
    assert "every new image gets a class" in " ".join(capsys.readouterr().err.split())
    assert {row["key"] for row in own if row["class_1"] == NONE_OF_THESE} == {key}
    assert {row["match"] for row in own} == {"", "0.0"}
    assert not any(row["match"] for row in predicted(folder, recipe.parent / "test"))


@pytest.mark.parametrize("strength", [0, 0.5])
def test_model_that_is_not_adapted_in_full_names_new_images_and_says_so(
    recipe: Path, fixed_guard: Path, strength: float, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = taught(recipe, 3, fixed(strength))
    none = {*open_run(folder).rows.training_keys[2:5]}
    capsys.readouterr()
    own = predicted(folder, recipe.parent / "images")
    assert "every new image gets a class" in " ".join(capsys.readouterr().err.split())
    assert {row["key"] for row in own if row["class_1"] == NONE_OF_THESE} == none
    labels = rows_of(folder / "pseudo_labels.csv")
    assert [row["adapted"] for row in labels].count(NONE_OF_THESE) == 3


def test_undone_answer_leaves_its_image_to_the_model(recipe: Path) -> None:
    first = taught(recipe, 3)
    plain = next(path for path in first.parent.iterdir() if (path / "review.jsonl").exists())
    undone = open_run(first).rows.training_keys[2]
    answer = Answer(undone, "none", None, "images", plain.name, "")
    append_answers(plain / "review.jsonl", [replace(answer, kind="undo")])
    again, _, _ = run(recipe, *SETTINGS, f"corrections={plain / 'review.jsonl'}")
    matches = {row["key"]: row["match"] for row in predicted(again, recipe.parent / "images")}
    assert 0 < float(matches[undone]) < 1
    assert [matches[key] for key in open_run(again).rows.training_keys[3:5]] == ["0.0", "0.0"]


def test_exported_model_says_that_it_names_every_image(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(taught(recipe, 3)), "--format", "transformers", "-o", "exported"]
    assert run_command_line(command) == 0
    for text in (Path("exported/README.md").read_text(), capsys.readouterr().err):
        assert "This export gives every image a class" in " ".join(text.split())
