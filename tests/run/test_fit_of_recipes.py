"""Every shipped recipe without steps gives the same by `fit` and `judge` as by a whole run."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from latte.cli.main import run_command_line
from latte.interfaces import TrainingStart, Verdict
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.shipped import is_part, shipped_names, shipped_path
from latte.results.run import open_run
from latte.run.fitting import build_method, build_questions, training_start
from latte.run.frozen import method_of
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import find_all_images
from latte.run.plan import DESCRIBE, PLAN, ZERO_SHOT
from latte.run.runner import run_recipe
from latte.run.stages import Job
from latte.run.workspace import Workspace, run_folder
from latte.train.fit import Fit, fit, judge
from tests.helpers.asking import registry
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

CLASSES = ("red", "green", "blue")
SETS = (
    *("caltech101", "dtd", "eurosat", "fgvc-aircraft", "flowers102", "food101", "oxford-pets"),
    *("stanford-cars", "sun397", "ucf101"),
)
RECIPES = (
    *("adapt", "choices", "choices#no-questions", "training-free", "training-free#without-images"),
    *("training-free#without-descriptions", "self-taught#labels-alone", "zero-shot"),
    *("ablations/groups-per-class", *(f"zero-shot/{name}" for name in SETS)),
)
"""Names of recipes, and of controls behind `#`."""


@pytest.fixture(autouse=True)
def whose_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("IMAGES", "CLASSES", "LATTE_DATA"):
        monkeypatch.setenv(variable, "somewhere")


@dataclass(frozen=True)
class Fitted:
    """A finished run, and what `fit` and `judge` return for the same images."""

    recipe: Recipe
    folder: Path
    start: TrainingStart
    fit: Fit
    verdict: Verdict | None
    workspace: Workspace


def named(name: str, *overrides: str) -> Recipe:
    """Load a shipped recipe, or its control."""
    base, _, control = name.partition("#")
    path = shipped_path(base)
    assert path is not None
    recipe = load_recipe(path, registry(), overrides)
    return recipe.controls[control] if control else recipe


def run_and_fit(recipe: Recipe) -> Fitted:
    components, progress = registry(), RecordedProgress()
    run_recipe(recipe, components, progress)
    workspace = Workspace(recipe, components, progress, run_folder(recipe, None))
    job = Job(PLAN, workspace, find_all_images(workspace))
    inputs = workspace, job.images.joined, job.result(ZERO_SHOT).joined
    questions = build_questions(*inputs, ask=False)
    start = training_start(*inputs, questions, FrozenTexts(workspace, job.result(DESCRIBE)))
    fitted = fit(build_method(workspace, silent=True), start)
    verdict = None
    if recipe.guard is not None:
        guard = workspace.build(recipe.guard)
        verdict = judge(fitted, start, guard, recipe.guard.label)
    return Fitted(recipe, workspace.folder.path, start, fitted, verdict, workspace)


def assert_same_bits(fitted: Fitted) -> None:
    """Compare prototypes, posterior, verdict and labels with the files of the run."""
    run = open_run(fitted.folder)
    stored = load_file(fitted.folder / "models/adapted/prototypes.safetensors")
    for name, classifier in fitted.fit.classifiers.items():
        assert torch.equal(stored[f"{name}.weights"], classifier.weights)
        assert torch.equal(stored[f"{name}.owners"], classifier.owners)
    path, posterior = fitted.folder / "models/adapted/posterior.safetensors", fitted.fit.posterior
    assert path.exists() == (posterior is not None)
    if posterior is not None:
        tensors = load_file(path)
        assert torch.equal(tensors["labels"], posterior.labels)
        assert torch.equal(tensors["probabilities"], posterior.probabilities)
    assert run.record.judge.verdict == fitted.verdict
    adapted = fitted.folder / "models/adapted/pseudo_labels.csv"
    rows = adapted if adapted.exists() else fitted.folder / "pseudo_labels.csv"
    assert labels_in(rows) == corrected(fitted, fitted.fit.labels)


def labels_in(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["adapted"] for row in csv.DictReader(file)]


def corrected(fitted: Fitted, labels: torch.Tensor) -> list[str]:
    """Return the names of the labels; a class that a person gave replaces the label."""
    if (corrections := fitted.start.corrections) is not None:
        labels = corrections.where(corrections >= 0, labels)
    return [fitted.start.class_names[label] for label in labels.tolist()]


def assert_frozen_method_is_as_good(fitted: Fitted) -> None:
    """Compare the labels and the verdict of a `FrozenMethod` with those of the run."""
    method = method_of(fitted.recipe, fitted.workspace.registry)
    start = replace(fitted.start, questions=None)
    labelled = method.label(start, fitted.workspace.context)
    assert labelled.verdict == open_run(fitted.folder).record.judge.verdict
    assert labels_in(fitted.folder / "pseudo_labels.csv") == corrected(fitted, labelled.labels)
    assert torch.equal(labelled.candidate_labels, fitted.fit.labels)


def test_all_recipes_without_steps_are_compared() -> None:
    without_steps = set()
    for name in filter(lambda name: not is_part(name), shipped_names()):
        recipe = named(name)
        controls = {
            f"{name}#{control}": control_recipe
            for control, control_recipe in recipe.controls.items()
        }
        takes_none = {
            key for key, control_recipe in controls.items() if not control_recipe.train.takes_steps
        }
        without_steps |= takes_none | (set() if recipe.train.takes_steps else {name})
    assert without_steps == {*RECIPES}


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipe(name: str, recipe: Path, tiny_clip_folder: Path) -> None:
    squares = recipe.parent
    dataset = f"{{use: folder, root: {squares / 'images'}, classes: [{', '.join(CLASSES)}]}}"
    settings = [f"dataset={dataset}", f"backbone={{model: 'local-dir:{tiny_clip_folder}'}}"]
    settings += [f"output={squares / 'runs'}"]
    if name.partition("#")[0] in ("choices", "ablations/groups-per-class"):
        settings += ["describer=first" if name.startswith("choices") else "describer=phrases"]
    fitted = run_and_fit(named(name, *settings))
    assert_same_bits(fitted)
    if not (fitted.recipe.descriptions or fitted.recipe.questioned):
        assert_frozen_method_is_as_good(fitted)


@pytest.mark.parametrize("answers", [0, 1])
def test_recipe_that_adapt_writes(
    answers: int,
    colour_images: Callable[..., Path],
    tiny_clip_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    images = colour_images(per_class=5)
    rows = [f"{path},{path.parent.name}" for path in sorted(images.glob("*/00[0-1].jpg"))]
    (tmp_path / "labels.csv").write_text("\n".join(["path,class", *rows[::2], ""]))
    labels = ["--labels", "labels.csv"] if answers else []
    model = ["--model", f"local-dir:{tiny_clip_folder}", "--classes", ",".join(CLASSES)]
    assert run_command_line(["adapt", str(images), *model, *labels, "--quiet"]) == 0
    (path,) = (tmp_path / "adapted").glob("*.yaml")
    fitted = run_and_fit(load_recipe(path, registry()))
    assert (fitted.start.corrections is not None) == bool(answers)
    assert_same_bits(fitted)
    assert_frozen_method_is_as_good(fitted)
