"""Runs whose labeler has a posterior: its answers about the training images are saved and used."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import latte
from latte.cli.main import run_command_line
from latte.interfaces import Evaluation, LatteError
from latte.registry.registry import load_registry
from latte.run.reopen import evaluate_run
from tests.helpers.guards import fixed, installed
from tests.helpers.plugin_packages import write_package
from tests.helpers.recorded import RecordedProgress
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough

PLUGIN = """
import torch
from latte.api import (
    Classifier, ComponentSpec, NoOptions, Posterior, PseudoLabeler, EpochInfo, hookimpl
)

class Reversed(PseudoLabeler[NoOptions]):
    \"\"\"Classifies by the texts, and says of the training images the opposite.\"\"\"

    needs_feature_banks = True

    def start(self, start):
        self._texts = start.class_features

    def on_epoch_start(self, banks, aggregators, epoch):
        owners = torch.arange(len(self._texts))
        self._posteriors = {
            name: Posterior(
                (bank.features @ self._texts.T).argsort(dim=1)[:, :2],
                torch.tensor([[0.6, 0.3]]).repeat(len(bank.features), 1),
            )
            for name, bank in banks.items()
        }
        bias = torch.linspace(0, 0.01, len(owners))
        return EpochInfo({name: Classifier(2 * self._texts, owners, bias) for name in banks})

    def posterior(self, learner):
        return self._posteriors[learner]

    def assign(self, batch, image_features, aggregator):
        raise AssertionError("there is no step")

@hookimpl
def latte_components():
    return [ComponentSpec("labeler", "reversed", "reversed_labeler:Reversed", "for tests")]
"""
OWN = ("describer=null", "descriptions=[]", "labels=[reversed]", "prototypes=from-labeler")
SETTINGS = (*OWN, "loss=null", "train.max_steps=0", "reporters=[html, model-card]")


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Iterator[None]:
    name, files = "reversed_labeler", {"reversed_labeler.py": PLUGIN}
    write_package(tmp_path / "plugin", "reversed-labeler", {name: name}, files)
    with installed(tmp_path / "plugin"):
        yield


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def add_own_images(recipe: Path, classes: tuple[str, ...] = ("red", "green", "blue")) -> int:
    """Copy two training images of each class to the test images; return their number."""
    for number, name in enumerate(("red", "green", "blue")):
        for path in sorted((recipe.parent / "images" / f"part-{number}").iterdir())[:2]:
            if name in classes:
                shutil.copy(path, recipe.parent / "test" / name / f"own-{path.name}")
    return 2 * len(classes)


def evaluations(folder: Path) -> dict[str, Evaluation]:
    found = evaluate_run(folder, load_registry(), RecordedProgress())
    return {one.name: one for one in found}


class TestArtifacts:
    def test_stage_train_keeps_the_posterior_and_pseudo_labels_are_its_own(
        self, recipe: Path
    ) -> None:
        folder, results, _ = run(recipe, *SETTINGS)
        posterior = load_file(folder / "posterior.safetensors")
        zero_shot = load_file(folder / "zero_shot.safetensors")
        expected = (zero_shot["training"] @ zero_shot["class_features"].T).argsort(dim=1)[:, :2]
        assert torch.equal(posterior["labels"], expected)
        names = ("red", "green", "blue")
        labels = rows(folder / "pseudo_labels.csv")
        assert [*labels[0]] == ["image", "zero_shot", "adapted", "confidence"]
        assert [row["adapted"] for row in labels] == [names[one] for one in expected[:, 0]]
        calibration = json.loads((folder / "calibration.json").read_text())
        (confidence,) = {float(row["confidence"]) for row in labels}
        power = calibration["own_exponent"]
        assert confidence == pytest.approx(0.6**power / (0.6**power + 0.3**power), abs=1e-5)
        assert results is not None
        assert all(flow.frozen != flow.adapted for flow in results.label_flows)

    def test_confidence_is_calibrated_over_all_classes_of_the_posterior(
        self, recipe: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("latte.run.evaluating.MOST_CLASSES", 1)
        folder, _, _ = run(recipe, *SETTINGS)
        power = json.loads((folder / "calibration.json").read_text())["own_exponent"]
        (confidence,) = {float(row["confidence"]) for row in rows(folder / "pseudo_labels.csv")}
        assert confidence == pytest.approx(0.6**power / (0.6**power + 0.3**power), abs=1e-5)

    def test_the_exported_classifier_is_the_labelers_with_its_bias(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        found = load_file(folder / "prototypes.safetensors")
        texts = load_file(folder / "zero_shot.safetensors")["class_features"]
        assert torch.equal(found["main.weights"], 2 * texts)
        assert torch.allclose(found["main.bias"], torch.tensor([0, 0.005, 0.01]))

    def test_run_without_posterior_uses_confidence_of_the_classifier(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, "train.max_epochs=1")
        assert not (folder / "posterior.safetensors").exists()
        scale = json.loads((folder / "calibration.json").read_text())["scale"]
        assert "main.bias" not in load_file(folder / "prototypes.safetensors")
        confidences = [float(row["confidence"]) for row in rows(folder / "pseudo_labels.csv")]
        predicted = latte.load(folder).predict(recipe.parent / "images")
        assert confidences == pytest.approx([one.confidence for one in predicted], abs=1e-4)
        assert scale > 0
        assert "source" not in rows(folder / "predictions.csv")[0]

    def test_a_killed_stage_is_done_again_and_gives_the_same(
        self, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, _, _ = run(recipe, *SETTINGS, output=tmp_path / "whole")
        with monkeypatch.context() as patch:
            patch.setattr("latte.run.judging.save_posterior", _stopped)
            with pytest.raises(KeyboardInterrupt):
                run(recipe, *SETTINGS, output=tmp_path / "killed")
        killed, _, _ = run(recipe, *SETTINGS, output=tmp_path / "killed")
        assert_same_results(whole, killed)
        _, _, progress = run(recipe, *SETTINGS, output=tmp_path / "killed")
        assert any(line.startswith("train: reused") for line in progress.lines)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("labels", torch.zeros(12, 2)),
            ("labels", torch.full((12, 2), 3)),
            ("labels", torch.full((12, 2), -1)),
            ("labels", torch.zeros(11, 2, dtype=torch.int64)),
            ("labels", torch.zeros(12, 4, dtype=torch.int64)),
            ("labels", torch.zeros(12, dtype=torch.int64)),
            ("probabilities", torch.zeros(12, 3)),
            ("probabilities", torch.full((12, 2), torch.nan)),
            ("probabilities", torch.full((12, 2), 1.5)),
            ("probabilities", torch.zeros(12, 2, dtype=torch.int64)),
        ],
    )
    def test_posterior_of_other_shape_is_an_error(
        self, recipe: Path, name: str, value: torch.Tensor, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        path = folder / "posterior.safetensors"
        save_file(load_file(path) | {name: value}, path)
        assert run_command_line(["predict", str(folder), str(recipe.parent / "test")]) == 2
        said = capsys.readouterr().err
        assert "posterior.safetensors" in said and "damaged" in said

    def test_removed_posterior_is_an_error(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        (folder / "posterior.safetensors").unlink()
        with pytest.raises(LatteError, match="no such file"):
            latte.load(folder)


def _stopped(*_: object) -> list[Path]:
    raise KeyboardInterrupt


class TestPredictions:
    def test_own_images_get_the_posterior_and_others_the_classifier(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        model = latte.load(folder)
        posterior = load_file(folder / "posterior.safetensors")["labels"].tolist()
        own = model.predict(recipe.parent / "images")
        assert [[one.label for one in row.classes] for row in own] == posterior
        assert {row.source for row in own} == {"own"}
        labels = rows(folder / "pseudo_labels.csv")
        assert own[0].confidence == pytest.approx(float(labels[0]["confidence"]), abs=1e-5)
        others = model.predict(recipe.parent / "test")
        assert {row.source for row in others} == {"classifier"}
        assert {len(row.classes) for row in others} == {3}

    def test_own_images_are_found_by_content_not_by_name(
        self, recipe: Path, tmp_path: Path
    ) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        model, known = latte.load(folder), sorted((recipe.parent / "images").rglob("*.jpg"))[5]
        copied = shutil.copy(known, tmp_path / "elsewhere.jpg")
        changed = tmp_path / known.name
        changed.write_bytes(known.read_bytes() + b"\0")
        sources = [one.source for one in model.predict([copied, changed])]
        assert sources == ["own", "classifier"]

    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    def test_rows_name_the_source_of_the_answer(
        self, recipe: Path, form: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        capsys.readouterr()
        places = [str(recipe.parent / name) for name in ("images", "test")]
        assert run_command_line(["predict", str(folder), *places, "--format", form]) == 0
        lines = capsys.readouterr().out.splitlines()
        if form == "jsonl":
            sources = [json.loads(line)["source"] for line in lines]
        else:
            found = [*csv.reader(lines)]
            assert found[0][:3] == ["image", "source", "class_1"]
            assert {len(row) for row in found} == {8}
            sources = [row[1] for row in found[1:]]
        assert sources == ["own"] * 12 + ["classifier"] * 9

    def test_unknown_goes_by_the_posterior_of_own_images(
        self, recipe: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, _, _ = run(recipe, *SETTINGS)
        capsys.readouterr()
        confidence = float(rows(folder / "pseudo_labels.csv")[0]["confidence"])
        arguments = ["predict", str(folder), str(recipe.parent / "images"), "--unknown-below"]
        assert run_command_line([*arguments, f"{confidence + 0.01}"]) == 0
        assert capsys.readouterr().out.count("none of them,") == 12
        assert run_command_line([*arguments, f"{confidence - 0.01}"]) == 0
        assert "none of them" not in capsys.readouterr().out


class TestEvaluation:
    def test_disjoint_test_images_are_measured_with_the_classifier_alone(
        self, recipe: Path
    ) -> None:
        folder, results, _ = run(recipe, *SETTINGS)
        assert results is not None
        assert [one.name for one in results.evaluations] == ["zero-shot", "adapted"]
        assert {row["source"] for row in rows(folder / "predictions.csv")} == {"classifier"}

    def test_own_images_are_measured_apart(self, recipe: Path) -> None:
        own = add_own_images(recipe)
        folder, results, _ = run(recipe, *SETTINGS)
        assert results is not None
        names = ["zero-shot", "adapted", "zero-shot, own images", "adapted, own images"]
        assert [one.name for one in results.evaluations] == names
        assert [one.images for one in results.evaluations] == [9, 9, own, own]
        found = {one.name: one for one in results.evaluations}
        predicted = rows(folder / "predictions.csv")
        mine = [row for row in predicted if row["source"] == "own"]
        assert len(mine) == own
        assert all(row["true_class"] == Path(row["image"]).parent.name for row in predicted)
        assert results.mistakes
        wrong = {row["image"] for row in predicted if row["class_1"] != row["true_class"]}
        assert {one.image.id for one in results.mistakes} == wrong
        right = sum(row["class_1"] == Path(row["image"]).parent.name for row in mine)
        assert found["adapted, own images"].top1.value == pytest.approx(right / own)
        gain = found["adapted, own images"].gain
        assert gain is not None
        before = found["zero-shot, own images"].top1.value
        assert gain.value == pytest.approx(right / own - before)
        for classifier in ("zero-shot", "adapted"):
            assert sum(one.images for one in results.confusions[classifier]) == 9
            right_ones = sum(
                one.images for one in results.confusions[classifier] if one.true == one.predicted
            )
            assert found[classifier].top1.value == pytest.approx(right_ones / 9)
        assert evaluations(folder) == found

    def test_where_all_are_own_images_the_classifier_is_measured_on_all(self, recipe: Path) -> None:
        own = add_own_images(recipe)
        for path in (recipe.parent / "test").rglob("*.jpg"):
            if not path.name.startswith("own-"):
                path.unlink()
        folder, results, _ = run(recipe, *SETTINGS)
        assert results is not None
        assert [one.images for one in results.evaluations] == [own] * 4
        before, after = results.evaluations[:2]
        model = latte.load(folder)
        (member,) = model.adapted.members
        features = load_file(folder / "zero_shot.safetensors")["evaluation"]
        labels = [
            json.loads(line)["label"]
            for line in (folder / "data" / "evaluation.jsonl").read_text().splitlines()
        ]
        right = member.classifier.similarities(features).argmax(dim=1) == torch.tensor(labels)
        assert after.top1.value == pytest.approx(right.double().mean().item())
        assert before.name == "zero-shot"
        assert sum(one.images for one in results.confusions["adapted"]) == own

    def test_terminal_card_and_page_show_posterior_and_classifier_apart(
        self, recipe: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_own_images(recipe)
        changes = [f"--set={one}" for one in SETTINGS]
        assert run_command_line(["run", str(recipe), "--quiet", *changes]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "adapted, own images" in said
        assert "Test images that are also training images: 6." in said
        assert "did at least as well" not in said
        (folder,) = (one.parent for one in Path("runs").glob("*/recipe.yaml"))
        for name in ("model/README.md", "report/index.html"):
            text = " ".join((folder / name).read_text().split())
            assert "adapted, own images" in text
            assert "also training images: 6" in text

    def test_comparison_and_diagnosis_take_the_classifiers_images(
        self, recipe: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_own_images(recipe)
        folder, _, _ = run(recipe, *SETTINGS)
        capsys.readouterr()
        assert run_command_line(["compare", str(folder), "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["rows"]
        assert (row["dataset"]["images"], row["own_images"]["images"]) == (9, 6)
        assert run_command_line(["compare", str(folder)]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "6 test images are also training images" in said
        assert "The table shows the classifier for new images, on 9 images." in said
        assert run_command_line(["diagnose", str(folder), "--quiet"]) == 0
        assert "test images" in capsys.readouterr().out


@pytest.mark.usefixtures("fixed_guard")
class TestGuarded:
    def test_a_whole_candidate_keeps_its_posterior(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS, fixed(1))
        assert {one.source for one in latte.load(folder).predict(recipe.parent / "images")} == {
            "own"
        }

    @pytest.mark.parametrize("strength", [0, 0.5])
    def test_rejected_candidate_run_predicts_with_its_classifier(
        self, recipe: Path, strength: float
    ) -> None:
        folder, _, _ = run(recipe, *SETTINGS, fixed(strength))
        assert not (folder / "posterior.safetensors").exists()
        images = recipe.parent / "images"
        model, candidate = latte.load(folder), latte.load(folder, candidate=True)
        assert {one.source for one in model.predict(images)} == {"classifier"}
        assert {one.source for one in candidate.predict(images)} == {"own"}
        by_candidate = rows(folder / "candidate" / "pseudo_labels.csv")
        own = candidate.predict(images)
        assert own[0].confidence == pytest.approx(float(by_candidate[0]["confidence"]), abs=1e-5)
        (member,) = model.adapted.members
        zero_shot = load_file(folder / "zero_shot.safetensors")
        found = member.classifier.similarities(zero_shot["training"]).argmax(dim=1)
        names = ("red", "green", "blue")
        labels = [row["adapted"] for row in rows(folder / "pseudo_labels.csv")]
        assert labels == [names[one] for one in found]

    def test_partial_strength_scales_prototypes_and_bias(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS, fixed(0.5))
        found = load_file(folder / "prototypes.safetensors")
        texts = load_file(folder / "zero_shot.safetensors")["class_features"]
        assert torch.allclose(found["main.weights"], 1.5 * texts)
        assert torch.allclose(found["main.bias"], torch.tensor([0, 0.0025, 0.005]))

    def test_own_test_images_measure_the_posterior_of_the_candidate(self, recipe: Path) -> None:
        own = add_own_images(recipe)
        folder, results, _ = run(recipe, *SETTINGS, fixed(0))
        _, whole, _ = run(recipe, *SETTINGS)
        assert results is not None and whole is not None
        found = {one.name: one for one in results.evaluations}
        assert {name: one.images for name, one in found.items()} == {
            **dict.fromkeys(("zero-shot", "adapted", "candidate"), 9 + own),
            **dict.fromkeys(("zero-shot, own images", "candidate, own images"), own),
        }
        of_whole = {one.name: one for one in whole.evaluations}["adapted, own images"]
        assert found["candidate, own images"].classes == of_whole.classes
        assert evaluations(folder) == found
        page = " ".join((folder / "report" / "index.html").read_text().split())
        assert "“candidate, own images” measures the labels that the run gave them" in page
        assert run_command_line(["compare", str(folder)]) == 0
