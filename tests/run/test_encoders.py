"""Runs with an image-only encoder beside the CLIP: features, classifier, mix and bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import latte
from latte.cli.main import run_command_line
from latte.export.run import export_run
from latte.interfaces import LatteError
from latte.io.tensor_files import load_tensors, save_tensors
from latte.models.zero_shot import load_zero_shot
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.report.statements import statements
from latte.run.identity import run_hash
from latte.run.reopen import evaluate_run, report_run
from tests.helpers.guards import fixed, installed
from tests.helpers.recorded import RecordedProgress
from tests.helpers.shared_runs import SharedRun, SharedRuns
from tests.helpers.stub_encoders import write_stub_encoders
from tests.helpers.whole_runs import run

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("stub_encoders")]

FREE = ("describer=null", "descriptions=[]", "loss=null", "train.max_steps=0")
MEANS = (*FREE, "labels=[means]", "prototypes=of-means")
EYES = (*MEANS, "encoders=[colours]")


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, tiny_clip_folder: Path) -> Iterator[SharedRun]:
    """The run with the settings `EYES`; tests must not write to it."""
    place = tmp_path_factory.mktemp("eyes")
    plugin = write_stub_encoders(place)
    runs = SharedRuns(place, tiny_clip_folder, lambda: installed(plugin))
    yield runs.of(*EYES)
    runs.assert_unchanged()


def similarities(folder: Path, images: Path) -> tuple[Tensor, list[str]]:
    """Return the model's similarities, from its parts, and the names that it predicts."""
    model = latte.load(folder)
    member_features = torch.split(
        model.features(images) * len(model.adapted.members) ** 0.5,
        [member.encoder.embedding_width for member in model.adapted.members],
        dim=1,
    )
    mean = sum(
        member.classifier.similarities(rows)
        for member, rows in zip(model.adapted.members, member_features, strict=True)
    ) / len(member_features)
    assert isinstance(mean, Tensor)
    return mean, [prediction.name for prediction in model.predict(images)]


def test_encoder_is_a_member_of_the_adapted_model(recipe: Path, eyes: SharedRun) -> None:
    folder = eyes.folder
    stored = load_zero_shot(folder / "zero_shot.safetensors")
    assert stored.encoders["colours"].training.shape == (12, 6)
    assert stored.encoders["colours"].evaluation.shape == (9, 6)

    model = latte.load(folder)
    assert [member.name for member in model.adapted.members] == ["main", "colours"]
    assert latte.load(folder, use="zero-shot").adapted.names == ["zero-shot"]
    mean, names = similarities(folder, recipe.parent / "test")
    assert [model.classes[label] for label in mean.argmax(dim=1).tolist()] == names
    (facts,) = eyes.results.record.train.encoders
    assert (facts.name, facts.licence, facts.classifies) == ("colours", "CC0-1.0", True)
    assert (facts.parameters, facts.bytes) == (78, 312)
    card = (folder / "models" / "adapted" / "model" / "README.md").read_text()
    assert "open_clip alone" not in card and "--format onnx" in card


def test_encoder_without_classifier_changes_no_prediction(recipe: Path) -> None:
    plain, _, _ = run(recipe, *MEANS)
    folder, results, progress = run(recipe, *EYES, "labels=[{use: means, encoders: false}]")
    assert folder != plain
    assert not (folder / "models" / "adapted" / "encoders").exists()
    assert "the classifier does not use the encoder colours" in "\n".join(progress.lines)
    assert (folder / "predictions.csv").read_text() == (plain / "predictions.csv").read_text()
    assert results is not None and not results.record.train.encoders[0].classifies


def test_recipes_without_encoders_keep_their_run_ids(recipe: Path) -> None:
    registry = load_registry()
    loaded = load_recipe(recipe, registry)
    assert "encoders" not in loaded.resolved
    empty = load_recipe(recipe, registry, ["encoders=[]"])
    assert run_hash(loaded, None) == run_hash(empty, None)
    assert run_hash(loaded, None) != run_hash(load_recipe(recipe, registry, EYES[-1:]), None)


def test_mix_averages_the_similarities_of_both_models(recipe: Path, fixed_guard: Path) -> None:
    mixed, results, _ = run(recipe, *EYES, fixed(0.25))
    assert results is not None and results.record.judge.used == "mixed"
    images = recipe.parent / "test"
    features = latte.load(mixed, use="zero-shot").features(images)
    frozen = features @ load_zero_shot(mixed / "zero_shot.safetensors").class_features.T
    adapted_folder, _, _ = run(recipe, *EYES, output=recipe.parent / "whole")
    adapted, _ = similarities(adapted_folder, images)
    mixed_similarities, _ = similarities(mixed, images)
    assert torch.allclose(mixed_similarities, 0.75 * frozen + 0.25 * adapted, atol=1e-5)


def test_run_that_kept_zero_shot_needs_no_encoder(recipe: Path, fixed_guard: Path) -> None:
    folder, results, _ = run(recipe, *EYES, fixed(0))
    assert results is not None
    assert latte.load(folder).adapted.names == ["zero-shot"]
    assert not any("colours" in statement.text for statement in statements(results))
    adapted, _ = run(recipe, *EYES)[1:]
    assert adapted is not None
    assert "uses colours beside the CLIP" in " ".join(
        statement.text for statement in statements(adapted)
    )


def test_features_are_encoded_once_for_all_runs(recipe: Path) -> None:
    _, _, first_progress = run(recipe, *EYES)
    assert "encode images with colours" in [task.name for task in first_progress.tasks]
    _, _, second_progress = run(recipe, *EYES, "seed=1")
    assert "encode images with colours" not in [task.name for task in second_progress.tasks]


def test_finished_runs_are_measured_and_reported_again(eyes: SharedRun, tmp_path: Path) -> None:
    folder, registry = eyes.copied(tmp_path), load_registry()
    models, _ = evaluate_run(folder, registry, RecordedProgress())
    measured_models = eyes.results.record.evaluate.models
    run_classifiers = {model.role: model.classifier for model in measured_models}
    assert {model.role: model.classifier for model in models} == run_classifiers
    report_run(folder, registry, RecordedProgress())
    assert "Encoder colours" in (folder / "report" / "index.html").read_text()


def test_examples_beside_the_images_are_encoded_too(recipe: Path) -> None:
    table = recipe.parent / "labels.csv"
    photos = sorted((recipe.parent / "test").glob("*/*0.*"))
    lines = [f"{path},{path.parent.name}\n" for path in photos]
    assert len(lines) == 3
    table.write_text("".join(["path,class\n", *lines]))
    folder, _, _ = run(recipe, *EYES, f"corrections={table}")
    stored = load_zero_shot(folder / "zero_shot.safetensors")
    assert stored.encoders["colours"].examples is not None
    assert stored.joined.encoders["colours"].training.shape == (15, 6)
    assert len(latte.load(folder).adapted.members) == 2


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        ("shape", r"features have the shape \(12, 5\), not \(12, 6\)"),
        ("nan", "zero or not finite"),
        ("length", "not normalised"),
    ],
)
def test_bad_features_raise_an_error_that_names_the_encoder(
    recipe: Path, breaks: str, message: str
) -> None:
    bad = f"encoders=[{{use: colours, name: eyes, breaks: {breaks}}}]"
    with pytest.raises(LatteError, match=message) as caught:
        run(recipe, *MEANS, bad)
    assert caught.value.where == "encoder eyes of stub-encoders 0.1.0"


def test_classifier_of_another_width_is_refused(recipe: Path) -> None:
    with pytest.raises(LatteError, match="for colours, rows of the classifier") as caught:
        run(recipe, *EYES, "labels=[{use: means, width: 4}]")
    assert caught.value.where == "labeler means of stub-encoders 0.1.0"


def test_trained_recipes_have_no_classifier_for_an_encoder(recipe: Path) -> None:
    steps = ("describer=null", "descriptions=[]", "train.max_steps=1", "encoders=[colours]")
    with pytest.raises(LatteError, match="classifier for the encoder colours"):
        run(recipe, *steps, "labels=[means]", "prototypes=of-means")
    folder, _, _ = run(recipe, *steps, "labels=[{use: means, encoders: false}]")
    assert latte.load(folder).adapted.names == ["main"]


def test_an_encoder_that_changed_since_the_run_is_refused(eyes: SharedRun, tmp_path: Path) -> None:
    folder = eyes.copied(tmp_path)
    place = folder / "models" / "adapted" / "encoders" / "colours"
    weights = place / "encoder.safetensors"
    tensors = load_tensors(weights)
    save_tensors(weights, {name: 2 * tensor for name, tensor in tensors.items()})
    with pytest.raises(LatteError, match="encoder colours has changed since this run"):
        latte.load(folder)
    latte.load(folder, use="zero-shot")
    save_file(load_file(weights), weights)  # without the digest
    with pytest.raises(LatteError, match="encoder is damaged") as caught:
        latte.load(folder)
    assert caught.value.where == str(place)


def test_predict_states_the_cost_of_both_models(
    recipe: Path, eyes: SharedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["predict", str(eyes.folder), str(recipe.parent / "test")]) == 0
    error_output = capsys.readouterr().err
    assert (
        "each image is encoded by 2 models: main" in error_output
        and "9 images: about" in error_output
    )


def test_transformers_cannot_hold_two_image_towers(eyes: SharedRun) -> None:
    with pytest.raises(LatteError, match="the encoder colours beside the CLIP") as caught:
        export_run(eyes.folder, "transformers", None, RecordedProgress())
    assert "--format onnx" in str(caught.value.hint)


def test_an_encoder_and_a_learner_cannot_have_one_name(recipe: Path) -> None:
    with pytest.raises(LatteError, match="a learner is called"):
        load_recipe(recipe, load_registry(), ["encoders=[{use: colours, name: main}]"])


def test_prototypes_name_the_component_of_the_encoder(eyes: SharedRun) -> None:
    prototypes = eyes.folder / "models/adapted/prototypes.safetensors"
    with safe_open(prototypes, framework="pt") as file:
        about = json.loads(file.metadata()["latte"])
    assert about["learners"] == ["main"]
    assert about["encoders"]["colours"]["use"] == "stub-encoders/colours"
