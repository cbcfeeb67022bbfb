"""`oracle: true` is required for ground-truth labels, and refused without them."""

from __future__ import annotations

import pytest

from tests.helpers.recipes import TRAINING, Complaints, Load

ORACLE = "oracle: true\n" + TRAINING.replace("size: 4", "size: 4, correct: 3")
CONTROLS = "controls:\n  pseudo: {{descriptions: [class, {{use: group}}]{0}}}\n"


def test_a_recipe_is_no_oracle_by_default(load: Load) -> None:
    recipe = load(TRAINING)
    assert recipe.oracle is False
    assert recipe.resolved["oracle"] is False
    assert recipe.resolved["descriptions"][2]["correct"] is None


def test_a_recipe_can_be_an_oracle(load: Load) -> None:
    recipe = load(ORACLE)
    assert recipe.oracle is True
    assert recipe.resolved["descriptions"][2]["correct"] == 3


def test_labels_without_oracle_are_refused(complaints: Complaints) -> None:
    (message,) = complaints(ORACLE.replace("oracle: true\n", ""))
    assert message.startswith(
        'r.yaml:4 descriptions.group.correct: "correct" uses ground-truth labels of training images'
    )
    assert "oracle: true is missing\n  Add oracle: true beside" in message


@pytest.mark.parametrize("value", ["0", "4"])
def test_none_or_all_correct_images_need_oracle(value: str, complaints: Complaints) -> None:
    (message,) = complaints(TRAINING, f"descriptions.2.correct={value}")
    assert message.startswith("--set descriptions.group.correct: ")


def test_more_correct_images_than_images_are_refused(complaints: Complaints) -> None:
    assert complaints(ORACLE.replace("correct: 3", "correct: 5")) == [
        "r.yaml:5 descriptions.group.correct: must be at most 4, the size of the group, got 5"
    ]


def test_oracle_without_use_of_labels_is_refused(complaints: Complaints) -> None:
    (message,) = complaints("seed: 1\noracle: true\n" + TRAINING)
    assert message.startswith("r.yaml:2 oracle: oracle is true, and nothing here uses ground-truth")
    assert "\n  Write oracle: false, or set correct: NUMBER" in message


def test_unused_oracle_is_not_reported_beside_a_wrong_description(
    complaints: Complaints,
) -> None:
    messages = complaints(ORACLE, "descriptions.2.redraw=maybe")
    assert [message.split(": ")[0] for message in messages] == ["--set descriptions.group.redraw"]


def test_an_oracle_has_its_own_run_folder(load: Load) -> None:
    from latte.run.identity import run_hash

    hashes = {run_hash(load(ORACLE, f"descriptions.2.correct={k}"), None) for k in range(5)}
    assert len(hashes | {run_hash(load(TRAINING), None)}) == 6


def test_each_control_decides_if_it_is_an_oracle(load: Load) -> None:
    pseudo = load(ORACLE + CONTROLS.format(", oracle: false")).controls["pseudo"]
    assert pseudo.oracle is False
    written = "controls: {upper: {oracle: true, descriptions: [{use: group, correct: 4}]}}\n"
    recipe = load(TRAINING + written)
    assert (recipe.oracle, recipe.controls["upper"].oracle) == (False, True)


def test_a_control_of_an_oracle_without_labels_must_unset_oracle(complaints: Complaints) -> None:
    (message,) = complaints(ORACLE + CONTROLS.format(""))
    assert message.startswith("r.yaml:1 controls.pseudo.oracle: oracle is true, and nothing here")


def test_a_control_with_labels_needs_oracle(complaints: Complaints) -> None:
    (message,) = complaints(TRAINING + CONTROLS.format("").replace("group", "group, correct: 2"))
    assert message.startswith('r.yaml:9 controls.pseudo.descriptions.group.correct: "correct" uses')
