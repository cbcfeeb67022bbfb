"""Runs with a guard: the models that they keep and use, and the verdict in reports."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import latte
from latte.cli.main import run_command_line
from latte.evaluate.priors import unsupported_classes
from latte.interfaces import LatteError, Verdict
from latte.models.zero_shot import load_zero_shot
from latte.registry.registry import load_registry
from latte.results.run import open_run
from latte.run.reopen import evaluate_run
from tests.helpers.guards import fixed
from tests.helpers.recorded import RecordedProgress
from tests.helpers.records import accuracies, record, recorded
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.whole_runs import RESULT_FILES, assert_same_results, run

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("fixed_guard")]

KEEPS = fixed(0)
FREE = ("describer=null", "descriptions=[]", "labels=[frozen]", "loss=null", "train.max_steps=0")
ESTIMATED = (*FREE, "prototypes={use: re-estimated, image_weight: 1.0}")
"""Prototypes from the images alone: no step, one row per class, another classifier."""


def labels(path: Path, column: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


def judged(place: Path) -> dict[str, object]:
    evidence = json.loads(place.read_text())
    assert isinstance(evidence, dict)
    return evidence


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the evidence that the guard saw."""
    monkeypatch.setenv("JUDGED", str(tmp_path / "judged.json"))
    return tmp_path / "judged.json"


class TestEvidence:
    def test_a_trained_run_shows_features_of_its_own_tower(self, recipe: Path, shown: Path) -> None:
        folder, _, _ = run(recipe, fixed(1))
        evidence = judged(shown)
        assert (evidence["trained"], evidence["divisible"]) == (True, False)
        assert isinstance(evidence["candidates"], dict)
        assert evidence["candidates"]["main"] > 0
        names = [("red", "green", "blue").index(name) for name in adapted_labels(folder)]
        assert evidence["labels"] == names

    def test_a_run_without_a_step_shows_the_frozen_features(
        self, recipe: Path, shown: Path
    ) -> None:
        run(recipe, *ESTIMATED, fixed(1))
        evidence = judged(shown)
        assert (evidence["trained"], evidence["divisible"]) == (False, True)
        assert evidence["candidates"] == {"main": 0.0}

    def test_a_trained_recipe_encodes_its_images_once(self, recipe: Path) -> None:
        _, _, progress = run(recipe, fixed(1))
        assert [task.name for task in progress.tasks].count("label images") == 1


def adapted_labels(folder: Path) -> list[str]:
    return labels(folder / "pseudo_labels.csv", "adapted")


class TestWhole:
    def test_an_adapted_model_that_is_taken_whole_changes_no_result(
        self, shared_runs: SharedRuns
    ) -> None:
        guarded, plain = shared_runs.of(fixed(1)), shared_runs.of()
        assert guarded.folder != plain.folder
        assert_same_results(guarded.folder, plain.folder)
        assert not (guarded.folder / "models/adapted/pseudo_labels.csv").exists()
        expected = Verdict(1.0, "the options say so", {"images": 12.0})
        assert guarded.results.record.judge.verdict == expected
        assert plain.results.record.judge.verdict is None
        assert recorded(plain.folder, "judge", "verdict") is None

    def test_a_run_that_uses_the_adapted_model_opens_both(
        self, shared_runs: SharedRuns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, images = shared_runs.of(fixed(1)).folder, shared_runs.test
        assert latte.load(folder, use="adapted").predict(images) == latte.load(folder).predict(
            images
        )
        zero_shot = latte.load(folder, use="zero-shot").predict(images)
        kept = shared_runs.of(KEEPS)
        assert zero_shot == latte.load(kept.folder).predict(images)
        capsys.readouterr()
        assert run_command_line(["predict", str(folder), str(images), "--use", "mixed"]) == 2
        assert "'mixed' is not one of 'adapted', 'zero-shot'" in capsys.readouterr().err


class TestKept:
    def test_the_run_uses_the_frozen_clip_and_its_class_texts(
        self, shared_runs: SharedRuns
    ) -> None:
        kept = shared_runs.of(KEEPS)
        folder = kept.folder
        assert [*accuracies(kept.results)] == ["zero-shot", "adapted"]
        assert kept.results.record.judge.used == "zero-shot"
        features = load_zero_shot(folder / "zero_shot.safetensors")
        prototypes = load_file(folder / "models/zero-shot/prototypes.safetensors")
        assert sorted(prototypes) == ["zero-shot.owners", "zero-shot.weights"]
        assert torch.equal(prototypes["zero-shot.weights"], features.class_features)
        assert [path.name for path in (folder / "models/zero-shot").iterdir()] == [
            "prototypes.safetensors"
        ]
        zero_shot_labels = labels(folder / "pseudo_labels.csv", "zero_shot")
        assert adapted_labels(folder) == zero_shot_labels
        assert "guard fixed: kept zero-shot" in kept.lines

    def test_the_adapted_model_is_the_one_of_a_run_without_a_guard(
        self, shared_runs: SharedRuns
    ) -> None:
        kept, plain = shared_runs.of(KEEPS), shared_runs.of()
        for name in ("prototypes.safetensors", "model/open_clip_model.safetensors"):
            kept_file, plain_file = (
                shared.folder / "models/adapted" / name for shared in (kept, plain)
            )
            assert kept_file.read_bytes() == plain_file.read_bytes(), name
        adapted_csv = kept.folder / "models/adapted/pseudo_labels.csv"
        assert adapted_csv.read_bytes() == (plain.folder / "pseudo_labels.csv").read_bytes()
        assert kept.results.record.evaluate.models == plain.results.record.evaluate.models
        assert len(kept.results.metrics) == len(plain.results.metrics) > 0

    def test_predictions_come_from_plain_clip_or_from_the_adapted_model(
        self, shared_runs: SharedRuns, capsys: pytest.CaptureFixture[str]
    ) -> None:
        kept_folder, plain = shared_runs.of(KEEPS).folder, shared_runs.of().folder
        images = shared_runs.test
        by_adapted = latte.load(kept_folder, use="adapted").predict(images)
        assert by_adapted == latte.load(plain).predict(images)
        assert by_adapted != latte.load(kept_folder).predict(images)
        capsys.readouterr()
        reported = []
        for folder, options in ((kept_folder, ["--use", "adapted"]), (plain, [])):
            assert run_command_line(["predict", "-q", str(folder), str(images), *options]) == 0
            reported.append(capsys.readouterr().out)
        assert reported[0] == reported[1]

    def test_other_original_weights_are_refused(
        self, shared_runs: SharedRuns, tmp_path: Path
    ) -> None:
        folder = shared_runs.of(KEEPS).copied(tmp_path)
        record(folder, ("source", "backbone"), "other weights")
        with pytest.raises(LatteError, match="have changed since this run") as caught:
            latte.load(folder)
        assert str(caught.value.hint).startswith("put them back, or make the run again: latte run")
        assert latte.load(folder, use="adapted").classes

    def test_evaluate_measures_both_models(self, shared_runs: SharedRuns) -> None:
        kept = shared_runs.of(KEEPS)
        evaluated, _ = evaluate_run(kept.folder, load_registry(), RecordedProgress())
        evaluated_in_run = [
            replace(model, calibration=None) for model in kept.results.record.evaluate.models
        ]
        assert evaluated == evaluated_in_run

    def test_without_a_step_both_models_have_the_same_clip(self, shared_runs: SharedRuns) -> None:
        folder = shared_runs.of(*ESTIMATED, fixed(0)).folder
        assert {path.name for path in (folder / "models/adapted").iterdir()} == {
            *("prototypes.safetensors", "pseudo_labels.csv", "model")
        }
        plain, images = shared_runs.of(*ESTIMATED).folder, shared_runs.test
        by_adapted = latte.load(folder, use="adapted").predict(images)
        assert by_adapted == latte.load(plain).predict(images)
        by_zero_shot = latte.load(plain, use="zero-shot").predict(images)
        assert by_zero_shot == latte.load(folder).predict(images)

    def test_several_learners_become_one_zero_shot_model(self, recipe: Path) -> None:
        two_learners(recipe)
        folder, _, _ = run(recipe, KEEPS)
        assert [member.name for member in latte.load(folder).adapted.members] == ["zero-shot"]
        assert {path.name for path in (folder / "models/adapted/model").iterdir()} >= {
            *("first", "second")
        }
        members = latte.load(folder, use="adapted").adapted.members
        assert [member.name for member in members] == ["first", "second"]


def two_learners(recipe: Path) -> None:
    text = recipe.read_text()
    single_learner = "prototypes: {use: momentum, momentum: 0.9}\nloss: contrastive\n"
    assert single_learner in text
    learner = "{name: NAME, prototypes: momentum, loss: contrastive}"
    two = ", ".join(learner.replace("NAME", name) for name in ("first", "second"))
    recipe.write_text(text.replace(single_learner, f"learners: [{two}]\n"))


class TestBetween:
    def test_logits_are_mixed_exactly(self, shared_runs: SharedRuns) -> None:
        folder = shared_runs.of(*ESTIMATED, fixed(0.25)).folder
        plain = shared_runs.of(*ESTIMATED).folder
        frozen = load_zero_shot(folder / "zero_shot.safetensors")
        (mixed,) = latte.load(folder).adapted.members
        (adapted,) = latte.load(plain).adapted.members
        logits = [
            (frozen.clip.training @ frozen.class_features.T) * float(adapted.encoder.logit_scale),
            adapted.classifier.similarities(frozen.clip.training)
            * float(adapted.encoder.logit_scale),
            mixed.classifier.similarities(frozen.clip.training) * float(mixed.encoder.logit_scale),
        ]
        assert not torch.allclose(logits[0], logits[1], atol=0.1)
        expected = 0.75 * logits[0] + 0.25 * logits[1]
        assert torch.allclose(logits[2], expected, rtol=0, atol=1e-4)
        names = ("red", "green", "blue")
        assert adapted_labels(folder) == [names[label] for label in logits[2].argmax(dim=1)]

    def test_the_adapted_model_is_kept_whole_beside_the_mix(self, shared_runs: SharedRuns) -> None:
        between, plain = shared_runs.of(*ESTIMATED, fixed(0.25)), shared_runs.of(*ESTIMATED)
        mixed, unmixed = (
            (shared.folder / "models/adapted/prototypes.safetensors").read_bytes()
            for shared in (between, plain)
        )
        assert mixed == unmixed
        results = between.results
        assert [*accuracies(results)] == ["zero-shot", "adapted", "mixed"]
        assert results.record.used_model == results.record.evaluate.models[-1]

    def test_a_trained_model_cannot_be_mixed(self, recipe: Path) -> None:
        with pytest.raises(LatteError, match=r"0\.5 is neither 0 nor 1") as caught:
            run(recipe, fixed(0.5))
        assert caught.value.where == "guard fixed"

    @pytest.mark.parametrize("verdict", [fixed(1.5), fixed(1, reason="''")])
    def test_an_impossible_verdict_is_refused(self, recipe: Path, verdict: str) -> None:
        with pytest.raises(LatteError, match="cannot be used"):
            run(recipe, *ESTIMATED, verdict)


class TestAgain:
    @pytest.mark.parametrize("verdict", [KEEPS, fixed(1)], ids=["kept", "whole"])
    def test_stopped_and_reused_run_report_the_same_verdict(
        self, recipe: Path, shared_runs: SharedRuns, verdict: str
    ) -> None:
        uninterrupted = shared_runs.of(verdict).folder
        for stage in ("train", "judge", "report"):
            folder, _, _ = run(recipe, verdict, until=stage)
        _, results, progress = run(recipe, verdict)
        names = [*RESULT_FILES]
        names += [
            path.relative_to(uninterrupted).as_posix()
            for path in (uninterrupted / "models").rglob("*")
            if path.suffix in (".safetensors", ".csv", ".json")
        ]
        for name in names:
            assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes(), name
        for stage in ("data", "train", "judge", "evaluate"):
            assert recorded(folder, stage) == recorded(uninterrupted, stage)
        assert results is not None
        assert results.record.judge.verdict is not None
        assert any(line.startswith("train: reused") for line in progress.lines)

    def test_a_run_that_was_stopped_by_its_guard_is_not_trained_again(
        self, recipe: Path, shared_runs: SharedRuns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verdict = fixed(0, stops=True)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, verdict)
        monkeypatch.setenv("GOES_ON", "")
        folder, _, progress = run(recipe, verdict)
        assert any(line.startswith("train: reused") for line in progress.lines)
        assert_same_results(folder, shared_runs.of(KEEPS).folder)

    def test_another_guard_of_the_same_name_does_not_train_again(
        self, recipe: Path, guard_plugin: Path
    ) -> None:
        run(recipe, KEEPS)
        about = guard_plugin / "fixed_guard-0.1.0.dist-info"
        text = (about / "METADATA").read_text()
        try:
            (about / "METADATA").write_text(text.replace("0.1.0", "0.1.1"))
            load_registry.cache_clear()
            _, _, progress = run(recipe, KEEPS)
        finally:
            (about / "METADATA").write_text(text)
            load_registry.cache_clear()
        assert "judge: its inputs have changed, so it is done again" in progress.lines
        assert any(line.startswith("train: reused") for line in progress.lines)

    def test_a_removed_model_repeats_the_stage(self, recipe: Path) -> None:
        folder, _, _ = run(recipe, KEEPS)
        original_bytes = (folder / "models/adapted/prototypes.safetensors").read_bytes()
        shutil.rmtree(folder / "models/adapted")
        run(recipe, KEEPS)
        assert (folder / "models/adapted/prototypes.safetensors").read_bytes() == original_bytes


class TestControls:
    def test_a_control_may_leave_the_guard_out(self, recipe: Path) -> None:
        recipe.write_text(recipe.read_text() + "controls: {unguarded: {guard: null}}\n")
        folder, results, _ = run(recipe, KEEPS)
        assert results is not None
        evaluations = accuracies(results)
        assert evaluations["unguarded"] == evaluations["adapted"]
        (control,) = (folder / "controls" / "unguarded").iterdir()
        assert recorded(control, "judge", "verdict") is None


class TestWords:
    def test_verdict_comes_first_in_summary_and_report(
        self, recipe: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_command_line(["run", str(recipe), "--quiet", "--verbose", "--set", KEEPS]) == 0
        folder_line, *summary_lines = capsys.readouterr().out.splitlines()
        run_name = folder_line.removeprefix("run folder: ")
        text = " ".join(" ".join(summary_lines).split())
        assert text.startswith(
            "Kept zero-shot CLIP. The options say so. To use the adapted model, which "
            "the guard did not accept: latte predict"
        )
        assert f"latte predict {run_name} IMAGES --use adapted" in text
        for name in ("report/index.html", "models/adapted/model/README.md"):
            assert "Kept zero-shot CLIP" in (Path(run_name) / name).read_text()


class TestUnsupportedNames:
    def test_the_estimate_is_that_of_the_five_likeliest_classes(
        self, shared_runs: SharedRuns
    ) -> None:
        plain = shared_runs.of(*ESTIMATED)
        predicted = latte.load(plain.folder).predict(shared_runs.images, top_k=3)
        order = [[scored_class.label for scored_class in row.classes] for row in predicted]
        scores = [[scored_class.score for scored_class in row.classes] for row in predicted]
        labels = unsupported_classes(torch.tensor(order), torch.tensor(scores), 3)
        names = ("red", "green", "blue")
        assert plain.results.record.evaluate.unsupported == tuple(names[label] for label in labels)

    def test_class_names_without_an_image_are_reported(
        self, recipe: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for path in [*(recipe.parent / "images").rglob("*.jpg")]:
            for number in range(2):
                shutil.copy(path, path.with_name(f"{number} {path.name}"))
        names = ["red", *(f"thing {number}" for number in range(30))]
        change = f"dataset.classes=[{', '.join(names)}]"
        arguments = ["--set", change, "--set", "dataset.evaluation=null"]
        arguments += [part for setting in ESTIMATED for part in ("--set", setting)]
        assert run_command_line(["run", str(recipe), "--quiet", "--verbose", *arguments]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        (folder,) = Path("runs").iterdir()
        missing = recorded(folder, "evaluate", "unsupported")
        assert (
            f"Names that no image clearly shows: {missing[0]}, {missing[1]}, {missing[2]}"
            in printed
        )
        page = (folder / "report" / "index.html").read_text()
        assert all(f"<bdi>{name}</bdi>" in page for name in missing)

    @pytest.mark.parametrize("names", [["purple"], ["red", "red"]])
    def test_damaged_names_are_refused(self, recipe: Path, names: list[str]) -> None:
        folder, _, _ = run(recipe, *ESTIMATED, until="evaluate")
        record(folder, ("evaluate", "unsupported"), names)
        with pytest.raises(LatteError, match="damaged"):
            _ = open_run(folder).record


def test_an_unknown_guard_is_a_mistake_in_the_recipe(recipe: Path) -> None:
    with pytest.raises(LatteError, match="fixd"):
        run(recipe, "guard=fixd")
