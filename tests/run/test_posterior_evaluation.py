"""Own images with a posterior are measured apart from other test images."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import latte
from latte.cli.main import run_command_line
from latte.interfaces import Evaluation
from latte.registry.registry import load_registry
from latte.run.reopen import evaluate_run
from tests.helpers.guards import fixed
from tests.helpers.recorded import RecordedProgress
from tests.helpers.records import accuracies, recorded
from tests.helpers.reversed_labeler import SETTINGS, add_own_images, rows
from tests.helpers.whole_runs import run

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("reversed_posterior")]


def evaluations(folder: Path) -> dict[str, Evaluation]:
    models, _ = evaluate_run(folder, load_registry(), RecordedProgress())
    return {title: evaluation for model in models for title, evaluation in model.accuracies()}


def test_disjoint_test_images_are_measured_with_the_classifier_alone(recipe: Path) -> None:
    folder, results, _ = run(recipe, *SETTINGS)
    assert results is not None
    assert [*accuracies(results)] == ["zero-shot", "adapted"]
    assert {row["source"] for row in rows(folder / "predictions.csv")} == {"classifier"}


def test_own_images_are_measured_apart(recipe: Path) -> None:
    own_count = add_own_images(recipe)
    folder, results, _ = run(recipe, *SETTINGS)
    assert results is not None
    names = ["zero-shot", "zero-shot, own images", "adapted", "adapted, own images"]
    run_accuracies = accuracies(results)
    assert [*run_accuracies] == names
    assert [evaluation.images for evaluation in run_accuracies.values()] == [9, own_count] * 2
    predicted = rows(folder / "predictions.csv")
    own_rows = [row for row in predicted if row["source"] == "own"]
    assert len(own_rows) == own_count
    assert all(row["true_class"] == Path(row["image"]).parent.name for row in predicted)
    zero_shot_correct = sum(row["zero_shot"] == row["true_class"] for row in predicted)
    assert [*predicted[0]][-1] == "zero_shot"
    zero_shot = recorded(folder, "evaluate", "models", 0)
    classes = [*zero_shot["classifier"]["classes"], *zero_shot["own_images"]["classes"]]
    assert zero_shot_correct == sum(class_row["correct"] for class_row in classes)
    assert results.mistakes
    wrong = {row["image"] for row in predicted if row["class_1"] != row["true_class"]}
    assert {mistake.image.id for mistake in results.mistakes} == wrong
    right = sum(row["class_1"] == Path(row["image"]).parent.name for row in own_rows)
    assert run_accuracies["adapted, own images"].top1.value == pytest.approx(right / own_count)
    gain = run_accuracies["adapted, own images"].gain
    assert gain is not None
    zero_shot_accuracy = run_accuracies["zero-shot, own images"].top1.value
    assert gain.value == pytest.approx(right / own_count - zero_shot_accuracy)
    for classifier in ("zero-shot", "adapted"):
        assert sum(cell.images for cell in results.confusions[classifier]) == 9
        right_ones = sum(
            cell.images for cell in results.confusions[classifier] if cell.true == cell.predicted
        )
        assert run_accuracies[classifier].top1.value == pytest.approx(right_ones / 9)
    assert evaluations(folder) == run_accuracies


def test_where_all_are_own_images_the_classifier_is_measured_on_all(recipe: Path) -> None:
    own_count = add_own_images(recipe)
    for path in (recipe.parent / "test").rglob("*.jpg"):
        if not path.name.startswith("own-"):
            path.unlink()
    folder, results, _ = run(recipe, *SETTINGS)
    assert results is not None
    assert [evaluation.images for evaluation in accuracies(results).values()] == [own_count] * 4
    adapted = accuracies(results)["adapted"]
    model = latte.load(folder)
    (member,) = model.adapted.members
    features = load_file(folder / "zero_shot.safetensors")["evaluation"]
    labels = [
        json.loads(line)["label"]
        for line in (folder / "data" / "evaluation.jsonl").read_text().splitlines()
    ]
    right = member.classifier.similarities(features).argmax(dim=1) == torch.tensor(labels)
    assert adapted.top1.value == pytest.approx(right.double().mean().item())
    assert sum(cell.images for cell in results.confusions["adapted"]) == own_count


def test_list_of_own_images_measures_them_and_changes_no_training(recipe: Path) -> None:
    images = sorted((recipe.parent / "images").rglob("*.jpg"))[:6]
    names = [image.relative_to(recipe.parent / "images").as_posix() for image in images]
    written, shares = set(), set()
    for label in ("red", "green", "blue"):
        listed_rows = "".join(f"{name};{label}\n" for name in names)
        (recipe.parent / "own.csv").write_text(f"image;label\n{listed_rows}")
        changes = (*SETTINGS, "dataset.evaluation=own.csv", f"name={label}")
        folder, results, _ = run(recipe, *changes)
        assert results is not None
        own_accuracy = accuracies(results)["adapted, own images"]
        assert own_accuracy.images == len(names)
        assert {row["source"] for row in rows(folder / "predictions.csv")} == {"own"}
        files = (folder / "pseudo_labels.csv", *sorted(folder.rglob("*.safetensors")))
        trained = (path for path in files if path.name != "zero_shot.safetensors")
        written.add(tuple((path.name, path.read_bytes()) for path in trained))
        shares.add(own_accuracy.top1.value)
    assert len(written) == 1, "labels changed what was trained"
    assert len(shares) > 1, "labels changed nothing that is measured"


def test_terminal_card_and_page_show_posterior_and_classifier_apart(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_own_images(recipe)
    changes = [f"--set={setting}" for setting in SETTINGS]
    assert run_command_line(["run", str(recipe), "--quiet", "--verbose", *changes]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "adapted, own images" in printed
    assert "Test images that are also training images: 6." in printed
    assert "did at least as well" not in printed
    (folder,) = (path.parent for path in Path("runs").glob("*/recipe.yaml"))
    for name in ("models/adapted/model/README.md", "report/index.html"):
        text = " ".join((folder / name).read_text().split())
        assert "adapted, own images" in text
        assert "also training images: 6" in text


def test_comparison_takes_the_classifiers_images(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_own_images(recipe)
    folder, _, _ = run(recipe, *SETTINGS)
    capsys.readouterr()
    assert run_command_line(["compare", str(folder), "--csv", "table.csv"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "adapted, own images: labels that the run gave to test images that are also" in printed
    rows = csv.DictReader(Path("table.csv").read_text().splitlines())
    assert [(row["model"], row["images"]) for row in rows] == [
        ("adapted", "9"),
        ("adapted, own images", "6"),
    ]


@pytest.mark.usefixtures("fixed_guard")
def test_own_test_images_measure_the_posterior_of_a_rejected_model(recipe: Path) -> None:
    own_count = add_own_images(recipe)
    folder, results, _ = run(recipe, *SETTINGS, fixed(0))
    _, unguarded, _ = run(recipe, *SETTINGS, output=recipe.parent / "whole")
    assert results is not None and unguarded is not None
    run_accuracies = accuracies(results)
    assert {name: evaluation.images for name, evaluation in run_accuracies.items()} == {
        **dict.fromkeys(("zero-shot", "adapted"), 9 + own_count),
        **dict.fromkeys(("zero-shot, own images", "adapted, own images"), own_count),
    }
    unguarded_accuracy = accuracies(unguarded)["adapted, own images"]
    assert run_accuracies["adapted, own images"].classes == unguarded_accuracy.classes
    assert evaluations(folder) == run_accuracies
    page = " ".join((folder / "report" / "index.html").read_text().split())
    assert "“adapted, own images” measures the labels that the run gave them" in page
    assert run_command_line(["compare", str(folder)]) == 0
