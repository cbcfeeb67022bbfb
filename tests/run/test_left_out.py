"""Runs whose answers calibrate their confidence: own images and new ones, resumed and damaged."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import latte
from latte.interfaces import LatteError, Posterior
from latte.interfaces.answer_facts import SureLabels
from latte.io.tensor_files import save_tensors
from latte.models.left_out import LeftOutScores, read_left_out
from latte.report.summary import summary_table
from latte.report.taught import sure_sentence
from latte.results.run import open_run
from tests.helpers.records import recorded
from tests.helpers.squares import RECIPE
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

SETTINGS = (
    *("describer=null", "descriptions=[]", "loss=null", "labels=[self-taught]"),
    *("prototypes=from-labeler", "train.max_steps=0", "guard=evidence"),
)
FILE = "models/adapted/left_out.safetensors"
CLASS_OF = {"part-0": "red", "part-1": "green", "part-2": "blue"}


@pytest.fixture
def squares(tmp_path: Path, colour_images: Callable[..., Path], tiny_clip_folder: Path) -> Path:
    """A recipe with 60 training images, whose folders name no class, and 15 test images."""
    images = colour_images(per_class=20)
    for part, name in CLASS_OF.items():
        (images / name).rename(images / part)
    colour_images(per_class=5, size=(38, 38), folder="test")
    path = tmp_path / "squares.yaml"
    path.write_text(RECIPE.format(clip=tiny_clip_folder))
    return path


def answers(recipe: Path, per_class: int) -> str:
    """Write the true classes of some training images; return the setting that uses them."""
    path = recipe.parent / f"labels-{per_class}.csv"
    rows = [
        f"{part}/{number:03}.jpg,{name}\n"
        for part, name in CLASS_OF.items()
        for number in range(per_class)
    ]
    path.write_text("".join(["path,class\n", *rows]))
    return f"corrections={path}"


def own_labels(folder: Path) -> Mapping[str, tuple[str, float]]:
    """Return label and confidence of each training image."""
    with (folder / "pseudo_labels.csv").open() as file:
        return {
            row["image"]: (row["adapted"], float(row["confidence"])) for row in csv.DictReader(file)
        }


def confidence_and_accuracy(folder: Path) -> tuple[float, float]:
    """Return both for the training images whose label is not certain."""
    unanswered = {
        image: label_and_confidence
        for image, label_and_confidence in own_labels(folder).items()
        if label_and_confidence[1] < 1 - 1e-6
    }
    right = [label == CLASS_OF[image[:6]] for image, (label, _) in unanswered.items()]
    confidences = [confidence for _, confidence in unanswered.values()]
    return sum(confidences) / len(confidences), sum(right) / len(right)


def label_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate runs as if no answer had been left out."""
    monkeypatch.setattr("latte.run.evaluating.read_left_out", lambda run: None)


def test_confidence_of_a_taught_model_is_near_its_accuracy(
    squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*SETTINGS, answers(squares, 6))
    folder, results, _ = run(squares, *settings)
    confidence, accuracy = confidence_and_accuracy(folder)
    assert confidence == pytest.approx(accuracy, abs=0.15)
    new = latte.load(folder, device="cpu").predict("test")
    right = [prediction.name == Path(prediction.image).parent.name for prediction in new]
    assert sum(prediction.confidence for prediction in new) / len(new) == pytest.approx(
        sum(right) / len(right), abs=0.25
    )
    label_free(monkeypatch)
    label_free_folder, _, _ = run(squares, *settings, "name=before")
    old_confidence, same_accuracy = confidence_and_accuracy(label_free_folder)
    assert same_accuracy == accuracy
    assert abs(old_confidence - accuracy) > 0.3
    assert {image: label for image, (label, _) in own_labels(folder).items()} == {
        image: label for image, (label, _) in own_labels(label_free_folder).items()
    }
    sure = recorded(folder, "evaluate", "sure_labels")
    sentence = " ".join(sure_sentence(SureLabels(**sure)).split())
    assert results is not None
    assert sentence in " ".join(summary_table(results).split())
    assert recorded(label_free_folder, "evaluate", "sure_labels") is None
    card = " ".join((folder / "models/adapted/model/README.md").read_text().split())
    assert "calibrated by 18 answers that were left out" in card


def test_all_files_and_predict_have_the_calibrated_confidence(squares: Path) -> None:
    folder, _, _ = run(squares, *SETTINGS, answers(squares, 6))
    calibration = open_run(folder).record.evaluate.models[1].calibration
    assert calibration is not None
    model = latte.load(folder, device="cpu")
    assert model.scale == calibration.scale
    labels = own_labels(folder)
    for prediction in model.predict("images"):
        image = Path(prediction.image)
        name, confidence = labels[f"{image.parent.name}/{image.name}"]
        assert prediction.name == name
        assert prediction.confidence == pytest.approx(confidence, abs=1e-5)


def test_stage_evaluate_reads_what_stage_train_wrote(squares: Path) -> None:
    settings = (*SETTINGS, answers(squares, 3))
    uninterrupted, _, _ = run(squares, *settings)
    resumed, _, _ = run(squares, *settings, "name=resumed", until="train")
    run(squares, *settings, "name=resumed")
    for name in (FILE, "pseudo_labels.csv", "uncertain.jsonl"):
        assert (uninterrupted / name).read_bytes() == (resumed / name).read_bytes()
    calibrations = [recorded(folder, "evaluate", "models") for folder in (uninterrupted, resumed)]
    assert calibrations[0] == calibrations[1]
    left_out = read_left_out(open_run(uninterrupted))
    assert left_out is not None
    assert sorted(left_out.answers.tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert recorded(uninterrupted, "train", "answers", "left_out") == 9


def test_only_answers_of_their_class_calibrate_and_measure_the_gain(squares: Path) -> None:
    path = squares.parent / "labels.csv"
    rows = [f"part-0/{number:03}.jpg,red\n" for number in range(5)]
    path.write_text("".join(["path,class\n", *rows, "part-1/000.jpg,green\n"]))
    folder, _, _ = run(squares, *SETTINGS, f"corrections={path}")
    facts = recorded(folder, "train", "answers")
    assert (facts["measured"]["answers"], facts["left_out"]) == (6, 6)


@pytest.mark.parametrize("per_class", [0, 1])
def test_no_answers_and_few_answers_are_calibrated_without_labels(
    squares: Path, per_class: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*SETTINGS, *([answers(squares, per_class)] if per_class else []))
    folder, _, _ = run(squares, *settings)
    assert not (folder / FILE).exists()
    label_free(monkeypatch)
    label_free_folder, _, _ = run(squares, *settings, "name=other")
    assert own_labels(folder) == own_labels(label_free_folder)
    assert recorded(folder, "evaluate") == recorded(label_free_folder, "evaluate")


def test_the_file_is_removed_with_the_answers(squares: Path) -> None:
    folder, _, _ = run(squares, *SETTINGS, answers(squares, 2))
    assert (folder / FILE).exists()
    repeated, _, _ = run(squares, *SETTINGS, output=folder)
    assert not (repeated / FILE).exists()


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"answers": torch.tensor([0, 3, 0, 0, 0, 0])}, "an answer is none of 3 classes"),
        ({"similarities": torch.zeros(6, 2)}, "one similarity for each answer and class"),
        ({"similarities": torch.full((6, 3), torch.nan)}, "not a finite number"),
        ({"probabilities": torch.full((6, 3), 2.0)}, "a probability is not between 0 and 1"),
    ],
)
def test_impossible_file_is_an_error_that_names_it(
    squares: Path, values: Mapping[str, torch.Tensor], wrong: str
) -> None:
    settings = (*SETTINGS, answers(squares, 2))
    folder, _, _ = run(squares, *settings, until="train")
    save_tensors(folder / FILE, {**load_file(folder / FILE), **values})
    with pytest.raises(LatteError, match=wrong) as raised:
        run(squares, *settings)
    assert "left_out.safetensors" in str(raised.value)


def left_out(confidence: float, right: int, answers: int) -> LeftOutScores:
    labels = torch.tensor([[0, 1]] * answers)
    probabilities = torch.tensor([[confidence, 1 - confidence]] * answers)
    classes = torch.tensor([0] * right + [1] * (answers - right))
    return LeftOutScores(classes, torch.zeros(answers, 2), Posterior(labels, probabilities))


def test_share_of_right_labels_needs_ten_answers_above_a_confidence() -> None:
    confidences = torch.tensor([0.9, 0.75, 0.6, 0.3])
    sure = left_out(0.8, right=9, answers=10).sure_labels(1.0, confidences)
    assert sure == SureLabels(above=0.7, labels=2, answers=10, right=9)
    assert " ".join(sure_sentence(sure).split()) == (
        "Of the 2 labels with a confidence above 0.7, about 90 % are right (9 of 10 answers that "
        "were left out)."
    )
    less_sure = left_out(0.6, right=6, answers=12).sure_labels(1.0, confidences)
    assert less_sure == SureLabels(above=0.5, labels=3, answers=12, right=6)
    assert left_out(0.8, right=9, answers=9).sure_labels(1.0, confidences) is None
    flatter = left_out(0.8, right=9, answers=10).sure_labels(0.3, confidences)
    assert flatter == SureLabels(above=0.5, labels=3, answers=10, right=9)
