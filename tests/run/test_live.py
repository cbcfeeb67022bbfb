"""Fits in memory while a person answers: their labels are those of the run with these answers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from latte.interfaces.progress import SilentProgress
from latte.models.classified import OwnLabels
from latte.models.left_out import read_left_out
from latte.models.live_labels import LiveLabels, SupersededError
from latte.registry.registry import load_registry
from latte.results.answers import Answer, append_answers, now
from latte.results.class_lists import ClassChange
from latte.results.rows import PseudoLabels
from latte.results.run import Run, open_run
from latte.results.taught_runs import learned_runs
from latte.run.learning import learn
from latte.run.live import LiveMethod
from tests.helpers.command_line import Latte

pytestmark = pytest.mark.thorough

NAMES = ("red", "green", "blue")
WITHOUT_STEPS = (
    *("prototypes=from-labeler", "train.max_steps=0"),
    *("describer=null", "descriptions=[]", "loss=null", "dataset.evaluation=null"),
)


def run_with(recipe: Path, latte: Latte, *settings: str) -> Run:
    """Return the only finished run, with these settings."""
    words = (word for setting in settings for word in ("--set", setting))
    latte("run", recipe, *words, "--quiet")
    (folder,) = Path("runs").iterdir()
    return open_run(folder)


def answer(run: Run, labels: Mapping[int, str]) -> None:
    keys = run.rows.training_keys
    lines = [Answer(keys[row], "class", name, "images", "", now()) for row, name in labels.items()]
    append_answers(run.folder.review, lines)


def never() -> bool:
    return False


def rows(labels: OwnLabels, zero_shot: tuple[int, ...]) -> PseudoLabels:
    """Return the labels as a run writes them into its table."""
    rounded = tuple(round(min(1.0, value), 6) for value in labels.confidences[:, 0].tolist())
    return PseudoLabels(zero_shot, tuple(labels.labels.tolist()), rounded)


def assert_same(live: LiveLabels, taught: Run) -> None:
    zero_shot = tuple(live.zero_shot.tolist())
    assert rows(live.used, zero_shot) == taught.rows.pseudo_labels
    assert rows(live.adapted, zero_shot) == taught.rows.adapted_labels
    assert live.answers == taught.record.train.answers
    left_out = read_left_out(taught)
    right = [] if left_out is None else left_out.own.labels[:, 0] == left_out.answers
    assert sum(live.left_out_right.values()) == sum(right)
    assert len(live.left_out_right) == len(right)


@pytest.mark.parametrize(
    ("labeler", "guard", "answers"),
    [
        ("self-taught", "null", 8),
        ("self-taught", "evidence", 3),
        ("self-taught", "evidence", 8),
        ("self-taught", "{use: fixed, strength: 0}", 3),
        ("self-taught", "{use: fixed, strength: 0.5}", 3),
    ],
)
def test_live_labels_are_those_of_the_run_with_the_same_answers(
    recipe: Path, latte: Latte, fixed_guard: Path, labeler: str, guard: str, answers: int
) -> None:
    settings = (f"labels=[{labeler}]", f"guard={guard}", *WITHOUT_STEPS)
    run = run_with(recipe, latte, *settings)
    live = LiveMethod(run, load_registry())
    answer(run, {0: "red", 4: "green"})
    live.fit(never)
    live.measure(never)
    answer(run, {row: NAMES[row % 3] for row in range(answers)})
    live.fit(never)
    labels = live.measure(never)
    assert_same(labels, open_run(learn(run, load_registry(), SilentProgress()).folder))


def test_labels_of_images_outside_the_folder_teach_live_fits_too(
    recipe: Path, latte: Latte
) -> None:
    settings = ("labels=[self-taught]", "corrections=labels.csv", *WITHOUT_STEPS)
    images = [path for name in NAMES for path in sorted(Path("test", name).iterdir())[:2]]
    lines = ["image,label", *(f"{path},{path.parent.name}" for path in images)]
    Path("labels.csv").write_text("\n".join(lines))
    run = run_with(recipe, latte, *settings)
    answer(run, {0: "red", 5: "blue"})
    live = LiveMethod(run, load_registry())
    live.fit(never)
    labels = live.measure(never)
    assert_same(labels, open_run(learn(run, load_registry(), SilentProgress()).folder))


def change_classes(run: Run, *lists: tuple[str, ...]) -> None:
    changes = [ClassChange(was, names, now()) for was, names in pairwise(lists)]
    append_answers(run.folder.review, changes)


RENAMED = ("red", "leaf", "blue")
ADDED = (*RENAMED, "purple")


@pytest.mark.parametrize("changed", [RENAMED, ADDED])
@pytest.mark.parametrize("guard", ["null", "evidence"])
def test_other_class_names_label_live_as_the_run_does_and_are_in_its_recipe(
    recipe: Path, latte: Latte, guard: str, changed: tuple[str, ...]
) -> None:
    run = run_with(recipe, latte, f"guard={guard}", "labels=[self-taught]", *WITHOUT_STEPS)
    answer(run, {row: NAMES[row % 3] for row in range(6)})
    live = LiveMethod(run, load_registry())
    live.fit(never)
    live.measure(never)
    change_classes(run, NAMES, RENAMED, *((changed,) if changed != RENAMED else ()))
    answer(run, {6: changed[-1], 7: "leaf"})
    live.fit(never)
    labels = live.measure(never)
    taught = open_run(learn(run, load_registry(), SilentProgress()).folder)
    assert_same(labels, taught)
    assert taught.class_names == changed
    assert learned_runs(run) == [taught.folder.path]
    assert taught.recipe["dataset"]["classes"] == list(changed)
    assert taught.rows.pseudo_labels.adapted[:8] == (0, 1, 2, 0, 1, 2, len(changed) - 1, 1)
    reopened = LiveMethod(taught, load_registry())
    reopened.fit(never)
    assert_same(reopened.measure(never), taught)


def test_a_recipe_with_the_old_names_still_learns_the_answers(recipe: Path, latte: Latte) -> None:
    run = run_with(recipe, latte, "labels=[self-taught]", *WITHOUT_STEPS)
    change_classes(run, NAMES, RENAMED)
    answer(run, {0: "red", 1: "leaf", 2: "blue"})
    corrections = ("--set", "corrections=runs/review.jsonl", "--set", "output=old")
    settings = (word for setting in WITHOUT_STEPS for word in ("--set", setting))
    latte("run", recipe, *settings, "--set", "labels=[self-taught]", *corrections, "--quiet")
    (folder,) = (path for path in Path("old").iterdir() if path.is_dir())
    assert open_run(folder).class_names == NAMES
    assert open_run(folder).rows.pseudo_labels.adapted[:3] == (0, 1, 2)


def test_a_newer_answer_ends_a_fit_and_the_next_fit_is_right(recipe: Path, latte: Latte) -> None:
    run = run_with(recipe, latte, "labels=[self-taught]", *WITHOUT_STEPS)
    answer(run, {row: NAMES[row % 3] for row in range(8)})
    live = LiveMethod(run, load_registry())
    with pytest.raises(SupersededError):
        live.fit(lambda: True)
    live.fit(never)
    with pytest.raises(SupersededError):
        live.measure(lambda: True)
    labels = live.measure(never)
    assert_same(labels, open_run(learn(run, load_registry(), SilentProgress()).folder))


@pytest.mark.parametrize(("settings", "reason"), [((), "This recipe trains"), (WITHOUT_STEPS, "")])
def test_a_recipe_that_trains_says_that_it_learns_at_the_end(
    recipe: Path, latte: Latte, settings: tuple[str, ...], reason: str
) -> None:
    run = run_with(recipe, latte, *settings)
    why_not = LiveMethod(run, load_registry()).why_not
    assert why_not.startswith(reason) and bool(why_not) == bool(reason)
