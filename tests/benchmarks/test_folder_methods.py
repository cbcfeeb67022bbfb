"""Methods on drawn folders: through the interfaces of components, and rivals as functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_benchmarks.folder_cells import CELL, Folder, draw

from benchmarks.folder_methods import (
    KNOWN,
    RecipeMethod,
    classify,
    load_method,
    method_called,
    zero_shot,
)
from latte.components.prototypes import ReEstimatedOptions, ReEstimatedPrototypes
from latte.interfaces import Classifier, Evidence, Guard, LatteError, NoOptions, Verdict
from latte.models.adapted import mixed_classifier
from latte.recipe.component import ChosenComponent
from latte.registry.registry import load_registry
from latte.registry.spec import ComponentSpec
from tests.helpers.labelled_sets import labelled_set
from tests.helpers.training_driver import CONTEXT, training_start

REGISTRY = load_registry()
RIVALS = ("inmap", "label-propagation", "stata", "transclip")
FOLDER = draw(labelled_set("birds"), CELL["all names"], 0, [])
SINGLE = draw(labelled_set("birds", classes=1), CELL["25 images"], 0, [])
STRENGTHS: list[float] = [0.0]
SEEN: list[Evidence] = []


class FixedGuard(Guard[NoOptions]):
    def judge(self, evidence: Evidence) -> Verdict:
        SEEN.append(evidence)
        return Verdict(STRENGTHS[0], "the test says so", {"weather": 1.5})


def guarded(method: RecipeMethod, strength: float) -> RecipeMethod:
    STRENGTHS[0] = strength
    spec = ComponentSpec(
        kind="guard", name="fixed", target=f"{__name__}:FixedGuard", summary="for tests"
    )
    guard = ChosenComponent(spec, "tests", "0", "fixed", NoOptions())
    return RecipeMethod(replace(method.frozen, guard=guard))


def component_method(name: str) -> RecipeMethod:
    method = method_called(name)
    assert isinstance(method, RecipeMethod)
    return method


@pytest.mark.parametrize("folder", [FOLDER, SINGLE], ids=["many", "one class"])
@pytest.mark.parametrize("name", ["zero-shot", "re-estimated", "self-taught", *RIVALS])
def test_each_method_answers_all_images_and_changes_no_input(name: str, folder: Folder) -> None:
    inputs_before = [
        tensor.clone() for tensor in (folder.texts, folder.own.features, folder.test.features)
    ]
    answers = method_called(name)(folder)
    for labels, images in ((answers.own, folder.own), (answers.test, folder.test)):
        assert labels.shape == images.labels.shape
        assert bool(((labels >= 0) & (labels < len(folder.names))).all())
    inputs_after = (folder.texts, folder.own.features, folder.test.features)
    assert all(map(torch.equal, inputs_before, inputs_after))


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_beat_zero_shot_on_clear_clusters_whose_texts_are_off(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(FOLDER.texts.shape, generator=generator)
    texts = torch.nn.functional.normalize(FOLDER.texts + 0.4 * noise, dim=1)
    folder = Folder(FOLDER.names, texts, 50.0, FOLDER.own, FOLDER.test, FOLDER.mix)
    for which in ("own", "test"):
        truth = getattr(folder, which).labels
        right, was = (
            float((getattr(method(folder), which) == truth).double().mean())
            for method in (method_called(name), zero_shot)
        )
        assert was < 0.9
        assert right > was


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_a_guard_takes_the_candidate_by_its_strength(strength: float) -> None:
    plain = component_method("self-taught")
    full_candidate, zero_shot_answers = plain(FOLDER), zero_shot(FOLDER)
    answers = guarded(plain, strength)(FOLDER)
    assert answers.verdict == Verdict(strength, "the test says so", {"weather": 1.5})
    assert answers.full is not None
    assert torch.equal(answers.full, full_candidate.own)
    if strength in (0, 1):
        expected = full_candidate if strength else zero_shot_answers
        assert torch.equal(answers.own, expected.own)
        assert torch.equal(answers.test, expected.test)


def test_a_guard_sees_the_candidate_and_no_label() -> None:
    SEEN.clear()
    answers = guarded(component_method("re-estimated"), 1.0)(FOLDER)
    (evidence,) = SEEN
    assert evidence.class_names == FOLDER.names
    assert evidence.image_features is FOLDER.own.features
    assert torch.equal(evidence.class_features, FOLDER.texts)
    assert (evidence.trained, evidence.logit_scale) == (False, 50.0)
    (candidate,) = evidence.candidates.values()
    assert torch.equal(classify(candidate.classifier, FOLDER.test.features), answers.test)
    assert torch.equal(evidence.labels, answers.own)


def test_blended_logits_are_the_blend_of_both_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, bias = torch.randn(10, 16, generator=generator), torch.randn(10, generator=generator)
    owners = torch.randperm(10, generator=generator)
    classifier = Classifier(rows, owners, bias)
    images = FOLDER.own.features
    zero = images @ FOLDER.texts.T
    for strength in (0.0, 0.3, 1.0):
        similarities = mixed_classifier(FOLDER.texts, classifier, strength).similarities(images)
        expected = (1 - strength) * zero + strength * classifier.similarities(images)
        torch.testing.assert_close(similarities, expected)


def recipe_file(folder: Path, **changes: str) -> Path:
    keys = {
        "dataset": '{use: folder, root: "${IMAGES}", classes: "${CLASSES}"}',
        "backbone": "{model: 'plugin:tiny'}",
        "prototypes": "{use: re-estimated, image_weight: 1.0, rounds: 1}",
        "train": "{max_steps: 0}",
    }
    path = folder / "own.yaml"
    lines: Mapping[str, Any] = keys | changes
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()), encoding="utf-8")
    return path


def test_a_recipe_without_steps_is_a_method_with_its_options(tmp_path: Path) -> None:
    method = load_method(recipe_file(tmp_path))
    options = ReEstimatedOptions(image_weight=1.0, rounds=1)
    assert method.frozen.prototypes.options == options
    aggregator = ReEstimatedPrototypes(options, CONTEXT)
    aggregator.start(training_start(FOLDER.texts, FOLDER.own.features))
    expected = classify(aggregator.classifier(), FOLDER.test.features)
    assert torch.equal(method(FOLDER).test, expected)


def test_a_recipe_with_steps_is_refused_with_what_to_change(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, train="{max_steps: 3}", labels="[frozen]", loss="contrastive")
    with pytest.raises(LatteError, match=r"without steps[^\n]*\n.*max_steps"):
        load_method(path)


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(LatteError, match='Did you mean "re-estimated"'):
        method_called("re-estimatd")
    assert "stata" in KNOWN
