"""Gates in recipes."""

from __future__ import annotations

import pytest

from tests.helpers.recipes import TRAINING, Complaints, Load

GATES = "gates: [refusal, length, {use: repetition, within: 0.5, name: loops}]\n"


def test_a_recipe_has_no_gates_by_default(load: Load) -> None:
    recipe = load(TRAINING)
    assert recipe.gates == ()
    assert recipe.resolved["gates"] == []
    assert load(TRAINING + "gates: []\n").resolved == recipe.resolved


def test_gates_keep_order_names_and_options(load: Load) -> None:
    recipe = load(TRAINING + GATES)
    assert [gate.label for gate in recipe.gates] == ["refusal", "length", "loops"]
    assert recipe.resolved["gates"][1:] == [
        {"use": "length", "at_least": 3, "at_most": 60},
        {"use": "repetition", "name": "loops", "within": 0.5, "across": 0.25},
    ]


def test_a_control_inherits_or_replaces_gates(load: Load) -> None:
    controls = (
        "controls: {same: {prototypes: templates}, none: {gates: []}, other: {gates: [length]}}\n"
    )
    controls_by_name = load(TRAINING + GATES + controls).controls
    assert [len(controls_by_name[name].gates) for name in ("same", "none", "other")] == [3, 0, 1]


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ("[refusl]", 'Did you mean "refusal"'),
        ("refusal", "Write it in brackets: [refusal]."),
        ("[length, length]", 'a second item of this list is called "length"'),
        ("[{use: length, at_lest: 2}]", 'Did you mean "at_least"?'),
        ("[{use: length, at_least: 9, at_most: 3}]", "must not be smaller than at_least"),
        ("[{use: refusal, also: cat}]", "expected a list"),
        ("[{use: repetition, within: 2}]", "must be at most 1"),
        ('[{use: refusal, also: [""]}]', "a phrase needs at least one word"),
        ("[image]", 'no gate named "image"'),
    ],
)
def test_mistakes_in_gates_have_hints(complaints: Complaints, gates: str, message: str) -> None:
    (complaint,) = complaints(TRAINING + f"gates: {gates}\n")
    assert complaint.startswith("r.yaml:8 gates")
    assert message in complaint
