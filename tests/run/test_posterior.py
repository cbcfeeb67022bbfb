"""Runs whose labeler has a posterior: its answers about the training images are saved and used."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import latte
from latte.cli.main import run_command_line
from latte.interfaces import LatteError, Posterior
from latte.interfaces.training import check_posterior
from latte.report.summary import summary_table
from latte.results.answers import Answer, append_answers
from latte.results.run import open_run
from tests.helpers.guards import fixed, installed, write_fixed_guard
from tests.helpers.plugin_packages import write_package
from tests.helpers.records import record, recorded
from tests.helpers.reversed_labeler import PLUGIN, SETTINGS, add_own_images, reversed_labeler, rows
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("reversed_posterior")]

COLUMNS = ("image", "source", "class_1", "score_1")


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_clip_folder: Path
) -> Iterator[SharedRuns]:
    """Runs with the labeler `reversed`; tests must not write to them."""
    place = tmp_path_factory.mktemp("reversed")
    runs = SharedRuns(place, tiny_clip_folder, lambda: reversed_labeler(place))
    yield runs
    runs.assert_unchanged()


@pytest.fixture
def copy(finished: SharedRuns, tmp_path: Path) -> Path:
    """A copy of the run, which a test may damage."""
    return finished.of(*SETTINGS).copied(tmp_path)


class TestClassifierThatContradictsThePosterior:
    """`predict` uses the classifier, so a guard's verdict on the posterior must not hold for it."""

    @pytest.fixture(params=["rows in another order", "bias in logits"])
    def settings(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
        name = "wrong_labeler"
        plugin_text = PLUGIN.replace("argsort(dim=1)", "argsort(dim=1).flip(1)")
        if request.param == "bias in logits":
            plugin_text = plugin_text.replace("linspace(0, 0.01,", "linspace(-9, 9,")
        else:
            plugin_text = plugin_text.replace("2 * self._texts", "2 * self._texts.roll(1, 0)")
        files = {f"{name}.py": plugin_text.replace("reversed", "wrong")}
        write_package(tmp_path / name, "wrong-labeler", {name: name}, files)
        write_fixed_guard(tmp_path)
        sys.modules.pop(name, None)  # the module of the other parameter
        with installed(tmp_path / name), installed(tmp_path / "fixed-guard"):
            yield [setting.replace("[reversed]", "[wrong]") for setting in SETTINGS]

    def test_guard_keeps_zero_shot_for_new_images(
        self, recipe: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, results, _ = run(recipe, *settings, fixed(1, names_known="false"))
        assert results is not None and results.record.judge.verdict is not None
        assert results.record.judge.verdict.outcome == "kept zero-shot"
        assert results.record.judge.verdict.names_known is False
        reason = "classifier for new images does not classify as the own images were labelled"
        page = (folder / "report" / "index.html").read_text(encoding="utf-8")
        assert reason in results.record.judge.verdict.reason and reason in page
        assert reason in " ".join(summary_table(results).split())
        assert (folder / "models/adapted/posterior.safetensors").exists()

    def test_run_without_guard_warns(self, recipe: Path, settings: list[str]) -> None:
        _, _, progress = run(recipe, *settings)
        (line,) = [line for line in progress.lines if line.startswith("warning: the classifier")]
        assert "zero-shot CLIP: 100%" in line

    def test_fitted_mixture_is_judged_by_the_guard(self, recipe: Path, settings: list[str]) -> None:
        settings[2] = "labels=[self-taught]"
        _, results, _ = run(recipe, *settings, fixed(1))
        assert results is not None and results.record.judge.verdict is not None
        assert results.record.judge.verdict.outcome == "cannot tell"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ("-0.5, -1.2", "a probability is not between 0 and 1"),
        ("float('nan'), 0.3", "a probability is not between 0 and 1"),
        ("0.6", "it does not have one probability for each label"),
    ],
)
def test_impossible_posterior_is_an_error_that_names_the_labeler(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: str, wrong: str
) -> None:
    monkeypatch.setattr("tests.helpers.reversed_labeler.PLUGIN", PLUGIN.replace("0.6, 0.3", values))
    with (
        reversed_labeler(tmp_path),
        pytest.raises(
            LatteError,
            match=f"^labeler reversed of reversed-labeler 0.1.0: its posterior .*: {wrong}",
        ),
    ):
        run(recipe, *SETTINGS)
    del sys.modules["reversed_labeler"]
    assert not [*tmp_path.rglob("models/adapted/posterior.safetensors")]


@pytest.mark.parametrize("none", [torch.tensor([0.1]), torch.tensor([0.2, 1.5]), torch.zeros(2, 1)])
def test_impossible_probability_of_no_class_is_an_error(none: Tensor) -> None:
    posterior = Posterior(torch.tensor([[0], [1]]), torch.tensor([[0.6], [0.7]]), none)
    with pytest.raises(ValueError, match="of no class"):
        check_posterior(posterior, 2)


class TestArtifacts:
    def test_stage_train_keeps_the_posterior_and_pseudo_labels_are_its_own(
        self, finished: SharedRuns
    ) -> None:
        shared = finished.of(*SETTINGS)
        folder = shared.folder
        posterior = load_file(folder / "models/adapted/posterior.safetensors")
        zero_shot = load_file(folder / "zero_shot.safetensors")
        expected = (zero_shot["training"] @ zero_shot["class_features"].T).argsort(dim=1)[:, :2]
        assert torch.equal(posterior["labels"], expected)
        names = ("red", "green", "blue")
        labels = rows(folder / "pseudo_labels.csv")
        assert [*labels[0]] == ["image", "zero_shot", "adapted", "confidence", "series"]
        assert [row["adapted"] for row in labels] == [names[label] for label in expected[:, 0]]
        calibration = recorded(folder, "evaluate", "models", 1, "calibration")
        (confidence,) = {float(row["confidence"]) for row in labels}
        power = calibration["own_exponent"]
        share = 0.6**power / (0.6**power + 0.3**power)
        assert confidence == pytest.approx((0.6 + 0.3) * share, abs=1e-5)
        assert all(flow.frozen != flow.adapted for flow in shared.results.label_flows)

    def test_all_files_and_predict_have_the_same_confidence(
        self, recipe: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also if stage `evaluate` is done again, and however many classes it keeps per image."""
        add_own_images(recipe)
        monkeypatch.setattr("latte.models.classified.MOST_CLASSES", 1)
        folder, _, _ = run(recipe, *SETTINGS)
        first_predictions = (folder / "predictions.csv").read_bytes()
        predicted = [row for row in rows(folder / "predictions.csv") if row["source"] == "own"]
        confidences = {float(row["score_1"]) for row in predicted}
        confidences |= {float(row["confidence"]) for row in rows(folder / "pseudo_labels.csv")}
        uncertain = [json.loads(line) for line in (folder / "uncertain.jsonl").open()]
        confidences |= {row["classes"][0]["score"] for row in uncertain}
        confidences |= {
            prediction.confidence
            for prediction in latte.load(folder).predict(recipe.parent / "images")
        }
        assert len(confidences) > 0
        assert max(confidences) == pytest.approx(min(confidences), abs=1e-5)
        assert max(confidences) < 0.55
        (folder / "predictions.csv").unlink()
        run(recipe, *SETTINGS)
        assert (folder / "predictions.csv").read_bytes() == first_predictions

    def test_posterior_with_one_class_per_image_keeps_its_probabilities(
        self, recipe: Path, tmp_path: Path
    ) -> None:
        name, plugin_text = "single_labeler", PLUGIN.replace("[:, :2]", "[:, :1]")
        files = {f"{name}.py": plugin_text.replace("0.6, 0.3", "0.6").replace("reversed", "single")}
        write_package(tmp_path / name, "single-labeler", {name: name}, files)
        with installed(tmp_path / name):
            settings = [setting.replace("[reversed]", "[single]") for setting in SETTINGS]
            folder, _, _ = run(recipe, *settings)
        assert recorded(folder, "evaluate", "models", 1, "calibration", "own_exponent") is None
        assert {row["confidence"] for row in rows(folder / "pseudo_labels.csv")} == {"0.6"}
        predictions = latte.load(folder).predict(recipe.parent / "images")
        assert predictions[0].confidence == pytest.approx(0.6)

    @pytest.mark.parametrize("exponent", [0, -5, 1e300])
    def test_impossible_exponent_is_an_error(
        self, recipe: Path, copy: Path, exponent: float, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record(copy, ("evaluate", "models", 1, "calibration", "own_exponent"), exponent)
        assert run_command_line(["predict", str(copy), str(recipe.parent / "images")]) == 2
        error_output = capsys.readouterr().err
        assert "results.json" in error_output and "exponent" in error_output

    def test_the_exported_classifier_is_the_labelers_with_its_bias(
        self, finished: SharedRuns
    ) -> None:
        folder = finished.of(*SETTINGS).folder
        prototypes = load_file(folder / "models/adapted/prototypes.safetensors")
        texts = load_file(folder / "zero_shot.safetensors")["class_features"]
        assert torch.equal(prototypes["main.weights"], 2 * texts)
        assert torch.allclose(prototypes["main.bias"], torch.tensor([0, 0.005, 0.01]))

    def test_run_without_posterior_uses_confidence_of_the_classifier(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, "train.max_epochs=1")
        assert not (folder / "models/adapted/posterior.safetensors").exists()
        scale = recorded(folder, "evaluate", "models", 1, "calibration", "scale")
        assert "main.bias" not in load_file(folder / "models/adapted/prototypes.safetensors")
        confidences = [float(row["confidence"]) for row in rows(folder / "pseudo_labels.csv")]
        predicted = latte.load(folder).predict(recipe.parent / "images")
        assert confidences == pytest.approx(
            [prediction.confidence for prediction in predicted], abs=1e-4
        )
        assert scale > 0
        assert {row["source"] for row in rows(folder / "predictions.csv")} == {"classifier"}

    def test_a_killed_stage_is_done_again_and_gives_the_same(
        self, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uninterrupted, _, _ = run(recipe, *SETTINGS, output=tmp_path / "whole")
        with monkeypatch.context() as patch:
            patch.setattr("latte.run.plan.save_posterior", _stopped)
            with pytest.raises(KeyboardInterrupt):
                run(recipe, *SETTINGS, output=tmp_path / "killed")
        killed, _, _ = run(recipe, *SETTINGS, output=tmp_path / "killed")
        assert_same_results(uninterrupted, killed)
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
        self,
        recipe: Path,
        copy: Path,
        name: str,
        value: torch.Tensor,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = copy / "models/adapted/posterior.safetensors"
        save_file(load_file(path) | {name: value}, path)
        assert run_command_line(["predict", str(copy), str(recipe.parent / "test")]) == 2
        error_output = capsys.readouterr().err
        assert "models/adapted/posterior.safetensors" in error_output and "damaged" in error_output

    def test_removed_posterior_is_an_error(self, copy: Path) -> None:
        (copy / "models/adapted/posterior.safetensors").unlink()
        with pytest.raises(LatteError, match="no such file"):
            latte.load(copy)


def _stopped(*_: object) -> list[Path]:
    raise KeyboardInterrupt


class TestPredictions:
    def test_own_images_get_the_posterior_and_others_the_classifier(
        self, recipe: Path, finished: SharedRuns
    ) -> None:
        folder = finished.of(*SETTINGS).folder
        model = latte.load(folder)
        posterior = load_file(folder / "models/adapted/posterior.safetensors")["labels"].tolist()
        own_predictions = model.predict(recipe.parent / "images")
        assert [
            [scored_class.label for scored_class in row.classes] for row in own_predictions
        ] == posterior
        assert {row.source for row in own_predictions} == {"own"}
        labels = rows(folder / "pseudo_labels.csv")
        assert own_predictions[0].confidence == pytest.approx(
            float(labels[0]["confidence"]), abs=1e-5
        )
        test_predictions = model.predict(recipe.parent / "test")
        assert {row.source for row in test_predictions} == {"classifier"}
        assert {len(row.classes) for row in test_predictions} == {3}

    def test_class_that_a_person_gave_replaces_that_of_the_posterior(self, recipe: Path) -> None:
        """Also if the labeler ignores corrections, and has given the class no probability."""
        plain, _, _ = run(recipe, *SETTINGS)
        names = ("red", "green", "blue")
        posterior = load_file(plain / "models/adapted/posterior.safetensors")
        own_labels = posterior["labels"].tolist()
        (absent,) = {0, 1, 2} - {*own_labels[0]}
        keys = open_run(plain).rows.training_keys
        corrected_labels = {0: absent, 1: own_labels[1][1]}
        append_answers(
            plain / "review.jsonl",
            [
                Answer(keys[row], "class", names[label], "images", plain.name, "")
                for row, label in corrected_labels.items()
            ],
        )
        folder, _, _ = run(recipe, *SETTINGS, f"corrections={plain / 'review.jsonl'}")
        predictions = latte.load(folder).predict(recipe.parent / "images")
        for row, label in corrected_labels.items():
            second_label = next(own_label for own_label in own_labels[row] if own_label != label)
            predicted_labels = [scored_class.label for scored_class in predictions[row].classes]
            assert predicted_labels == [label, second_label]
            assert [scored_class.score for scored_class in predictions[row].classes] == [1, 0]
        assert [scored_class.label for scored_class in predictions[2].classes] == own_labels[2]
        adapted = [row["adapted"] for row in rows(folder / "pseudo_labels.csv")]
        assert [prediction.classes[0].name for prediction in predictions] == adapted

    def test_own_images_are_found_by_content_not_by_name(
        self, recipe: Path, finished: SharedRuns, tmp_path: Path
    ) -> None:
        folder = finished.of(*SETTINGS).folder
        model, own_image = latte.load(folder), sorted((recipe.parent / "images").rglob("*.jpg"))[5]
        copied = shutil.copy(own_image, tmp_path / "elsewhere.jpg")
        changed = tmp_path / own_image.name
        changed.write_bytes(own_image.read_bytes() + b"\0")
        sources = [prediction.source for prediction in model.predict([copied, changed])]
        assert sources == ["own", "classifier"]

    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    def test_rows_name_the_source_of_the_answer(
        self, recipe: Path, finished: SharedRuns, form: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = finished.of(*SETTINGS).folder
        capsys.readouterr()
        places = [str(recipe.parent / name) for name in ("images", "test")]
        assert run_command_line(["predict", str(folder), *places, "--format", form]) == 0
        lines = capsys.readouterr().out.splitlines()
        if form == "jsonl":
            sources = [json.loads(line)["source"] for line in lines]
        else:
            table_rows = [*csv.reader(lines)]
            assert table_rows[0][:3] == ["image", "source", "class_1"]
            assert {len(row) for row in table_rows} == {8}
            sources = [row[1] for row in table_rows[1:]]
        assert sources == ["own"] * 12 + ["classifier"] * 9

    def test_unknown_goes_by_the_posterior_of_own_images(
        self, recipe: Path, finished: SharedRuns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = finished.of(*SETTINGS).folder
        capsys.readouterr()
        confidence = float(rows(folder / "pseudo_labels.csv")[0]["confidence"])
        arguments = ["predict", str(folder), str(recipe.parent / "images"), "--unknown-below"]
        assert run_command_line([*arguments, f"{confidence + 0.01}"]) == 0
        assert capsys.readouterr().out.count("none of these,") == 12
        assert run_command_line([*arguments, f"{confidence - 0.01}"]) == 0
        assert "none of these" not in capsys.readouterr().out


@pytest.mark.usefixtures("fixed_guard")
class TestGuarded:
    def test_a_model_that_is_used_keeps_its_posterior(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS, fixed(1))
        assert {
            prediction.source for prediction in latte.load(folder).predict(recipe.parent / "images")
        } == {"own"}

    @pytest.mark.parametrize("strength", [0, 0.5])
    def test_a_rejected_model_predicts_with_its_posterior_if_named(
        self, recipe: Path, strength: float
    ) -> None:
        folder, _, _ = run(recipe, *SETTINGS, fixed(strength))
        images = recipe.parent / "images"
        model, adapted = latte.load(folder), latte.load(folder, use="adapted")
        assert {prediction.source for prediction in model.predict(images)} == {"classifier"}
        assert {prediction.source for prediction in adapted.predict(images)} == {"own"}
        by_adapted = rows(folder / "models/adapted/pseudo_labels.csv")
        predictions = adapted.predict(images)
        assert predictions[0].confidence == pytest.approx(
            float(by_adapted[0]["confidence"]), abs=1e-5
        )
        (member,) = model.adapted.members
        zero_shot = load_file(folder / "zero_shot.safetensors")
        mixed_labels = member.classifier.similarities(zero_shot["training"]).argmax(dim=1)
        names = ("red", "green", "blue")
        labels = [row["adapted"] for row in rows(folder / "pseudo_labels.csv")]
        assert labels == [names[label] for label in mixed_labels]

    def test_partial_strength_scales_prototypes_and_bias(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, *SETTINGS, fixed(0.5))
        (member,) = latte.load(folder).adapted.members
        texts = load_file(folder / "zero_shot.safetensors")["class_features"]
        assert member.classifier.bias is not None
        assert torch.allclose(member.classifier.weights, 1.5 * texts)
        assert torch.allclose(member.classifier.bias, torch.tensor([0, 0.0025, 0.005]))
