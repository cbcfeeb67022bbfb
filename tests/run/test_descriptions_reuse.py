"""Reuse of stored texts by runs, and requests that are asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from tests.helpers.scripted_describer import Noting, describer, noting_first
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough


def described(recipe: Path, *overrides: str, **options: object) -> list[str]:
    """Return the texts about single images in the bank of a run."""
    folder, _, _ = run(recipe, *overrides, until="describe", **options)
    lines = map(json.loads, (folder / "descriptions.jsonl").read_text().splitlines())
    return [json.dumps(line["descriptions"]["image"]) for line in lines]


def test_changed_prompt_model_or_decoding_never_reuses_a_stored_text(
    recipe: Path, noting: Noting
) -> None:
    described(recipe, describer())
    once = len(noting.asked)
    assert once == 24, "12 images and 12 groups"

    assert all("large" in text for text in described(recipe, describer(model="large")))
    assert len(noting.asked) == 2 * once

    assert all("0.7" in text for text in described(recipe, describer(temperature=0.7)))
    assert len(noting.asked) == 3 * once

    recipe.write_text(recipe.read_text().replace("- image", '- {use: image, prompt: "Who?"}'))
    assert all("Who?" in text for text in described(recipe, describer()))
    assert len(noting.asked) == 3 * once + 12, "groups are asked what they were asked before"


def test_changed_batch_size_reuses_stored_texts(recipe: Path, noting: Noting) -> None:
    texts = described(recipe, describer(batch=2))
    first_questions = noting.asked
    for batch in (1, 5, 100):
        assert described(recipe, describer(batch=batch)) == texts
    assert noting.asked == first_questions


def test_refusal_is_stored_until_ask_again(
    recipe: Path, noting: Noting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Training without the text is repeated with it, as if the text had always been there."""
    monkeypatch.setenv("REFUSE", noting_first(recipe, noting))
    refused, _, progress = run(recipe, describer())
    question_count = len(noting.asked)
    assert any("refused" in line for line in progress.lines)

    monkeypatch.delenv("REFUSE")
    assert any("null" in text for text in described(recipe, describer(batch=3)))
    assert len(noting.asked) == question_count

    exit_code = run_command_line(
        ["describe", str(recipe), "--set", describer(), "--ask-again", "-q"]
    )
    assert exit_code == 0
    assert len(noting.asked) > question_count
    mended, _, _ = run(recipe, describer())
    assert mended == refused, "it is the same run"

    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "other-cache"))
    never_refused, _, _ = run(recipe, describer(), output=tmp_path / "other")
    assert_same_results(mended, never_refused)
