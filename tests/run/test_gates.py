"""Runs with gates: held-back texts are counted, stay in the store, and are not used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from latte.components.gates import RefusalGate
from latte.components.phrases import PhraseDescriber
from latte.describe.store import DescriptionStore
from latte.interfaces import DescribeRequest, LatteError
from latte.run.workspace import description_folder
from tests.helpers.one_line import squashed
from tests.helpers.records import recorded
from tests.helpers.whole_runs import RESULT_FILES, assert_same_results, run

pytestmark = pytest.mark.thorough

REFUSAL = "I'm sorry, I cannot see the image."
GATES = "gates=[refusal, {use: length, at_least: 3, name: short}]"


@pytest.fixture(autouse=True)
def asked_prompts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the describer: it refuses the first image and is brief about the second."""
    prompts: list[str] = []

    def describe(self: PhraseDescriber, requests: Sequence[DescribeRequest]) -> list[str]:
        texts = []
        for request in requests:
            place = prompts.count(request.prompt)
            prompts.append(request.prompt)
            about = {0: REFUSAL, 1: "red"} if "object in" in request.prompt else {}
            texts.append(about.get(place, f"a square number {place} on a wall"))
        return texts

    monkeypatch.setattr(PhraseDescriber, "describe", describe)
    return prompts


def bank(folder: Path) -> list[str | None]:
    """Return the texts of description `image`; None where there is none."""
    lines = (folder / "descriptions.jsonl").read_text(encoding="utf-8").splitlines()
    return [_text(json.loads(line)["descriptions"]["image"]) for line in lines]


def _text(described: Any) -> str | None:
    text: str | None = described["text"]
    return text


def test_held_back_texts_are_counted_in_record_page_and_card_and_not_in_the_bank(
    recipe: Path,
) -> None:
    folder, results, progress = run(recipe, GATES)
    assert results is not None
    assert bank(folder)[:3] == [None, None, "a square number 2 on a wall"]
    counted = [
        (counts.description, counts.gate, counts.held_back)
        for counts in results.record.describe.held_back
    ]
    assert counted == [
        ("image", "refusal", 1),
        ("image", "short", 1),
        ("group", "refusal", 0),
        ("group", "short", 0),
    ]
    assert recorded(folder, "describe", "held_back", 1) == {
        "description": "image",
        "gate": "short",
        "texts": 12,
        "held_back": 1,
        "reason": "1 word, fewer than 3",
        "example": "red",
    }
    assert "gates held back 2 of 12 texts of image (refusal 1, short 1)" in progress.lines
    assert any(line.startswith("gates: all") and "of group" in line for line in progress.lines)
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert 'id="gates"' in page
    assert "1 word, fewer than 3" in page
    card = squashed((folder / "models/adapted/model" / "README.md").read_text(encoding="utf-8"))
    assert "Held back of image: 2 of 12 texts (refusal 1, short 1)" in card
    assert "Gates: refusal, length (short)" in card


def test_held_back_texts_stay_stored_and_other_gates_ask_nothing_again(
    recipe: Path, asked_prompts: list[str]
) -> None:
    first_folder, _, _ = run(recipe, GATES)
    so_far = len(asked_prompts)
    with DescriptionStore(description_folder()) as store:
        assert len(store) == so_far
    second_folder, _, progress = run(recipe, "gates=[refusal]")
    assert len(asked_prompts) == so_far
    assert second_folder != first_folder
    assert bank(second_folder)[:2] == [None, "red"]
    assert "gates held back 1 of 12 texts of image (refusal 1)" in progress.lines


def test_a_changed_gate_does_the_stage_again_in_the_same_folder(
    recipe: Path, asked_prompts: list[str]
) -> None:
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry
    from tests.helpers.fingerprints import fingerprints_of

    def fingerprints(*overrides: str) -> dict[str, str]:
        loaded = load_recipe(recipe, load_registry(), overrides)
        return fingerprints_of(loaded)

    none, two = fingerprints(), fingerprints(GATES)
    wider = fingerprints(GATES.replace("at_least: 3", "at_least: 2"))
    assert none["zero-shot"] == two["zero-shot"] == wider["zero-shot"]
    assert len({none["describe"], two["describe"], wider["describe"]}) == 3
    assert fingerprints("gates=[]") == none


def test_gates_that_hold_nothing_back_change_no_result(recipe: Path) -> None:
    gated, _, progress = run(recipe, "gates=[{use: length, at_least: 1}]")
    plain, results, _ = run(recipe)
    assert gated != plain
    assert_same_results(gated, plain)
    assert any(line.startswith("gates: all 12 texts of image passed") for line in progress.lines)
    assert results is not None
    assert results.record.describe.held_back == ()


def test_recipe_without_gates_leaves_no_gate_counts(recipe: Path) -> None:
    folder, _, progress = run(recipe)
    empty, _, _ = run(recipe, "gates=[]")
    assert folder == empty
    assert recorded(folder, "describe", "held_back") == []
    assert 'id="gates"' not in (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not any(line.startswith("gates") for line in progress.lines)


def test_description_without_any_text_left_is_a_warning(
    recipe: Path,
) -> None:
    folder, results, progress = run(recipe, "gates=[{use: length, at_least: 50}]")
    assert results is not None
    assert bank(folder) == [None] * 12
    (warning,) = [line for line in progress.lines if "no text of image" in line]
    assert warning.startswith("warning: gates left no text of image")
    assert warning.endswith("length as 7 words, fewer than 50: I'm sorry, I cannot see the image.")


def test_reused_run_reports_the_same_counts(recipe: Path) -> None:
    folder, first_results, _ = run(recipe, GATES)
    first_files = {name: (folder / name).read_bytes() for name in RESULT_FILES}
    _, repeated_results, progress = run(recipe, GATES)
    assert first_results is not None
    assert repeated_results is not None
    assert first_results.record.describe == repeated_results.record.describe
    assert {name: (folder / name).read_bytes() for name in first_files} == first_files
    assert any(line.startswith("describe: reused") for line in progress.lines)


def test_a_control_may_have_gates_of_its_own(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "controls: {gated: {gates: [refusal]}}\n")
    folder, _, _ = run(recipe)
    assert recorded(folder, "describe", "held_back") == []
    (control,) = (folder / "controls" / "gated").iterdir()
    assert bank(control)[:2] == [None, "red"]
    assert bank(folder)[:2] == [REFUSAL, "red"]


def test_an_error_of_a_gate_loses_no_text(
    recipe: Path, asked_prompts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(LatteError, match="no such class"):
        patch.setattr(RefusalGate, "judge", _raise)
        run(recipe, "gates=[refusal]")
    so_far = len(asked_prompts)
    assert so_far > 0
    run(recipe, "gates=[refusal]")
    assert len(asked_prompts) == so_far


def _raise(*_: object) -> None:
    raise LatteError("no such class")
