"""Runs whose labeler asks a describer: identity, mistakes, counts in the report, dry runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latte.cli import describe as cli_describe
from latte.cli.main import run_command_line
from latte.describe.store import DescriptionStore, StoredText
from latte.interfaces import (
    LatteError,
    QuestionCounts,
)
from latte.interfaces.settings import SpendingSettings
from latte.recipe.load import load_recipe
from latte.report.summary import summary_table
from latte.run.identity import run_hash
from latte.run.planned_questions import MeanTokens, plan_questions
from latte.run.runner import run_recipe
from latte.run.workspace import description_folder
from tests.helpers.asking import (
    NAMES,
    First,
    registry,
)
from tests.helpers.recorded import RecordedProgress, write_colour_images

RECIPE = """\
dataset: {use: folder, root: images, classes: [red, green, blue], evaluation: test}
backbone: {model: "local-dir:CLIP"}
describer: first
labels: [asking]
prototypes: templates
train: {max_steps: 0}
budget: 3
"""


def recipe_of(text: str, folder: Path, *changes: str) -> Any:
    path = folder / "squares.yaml"
    path.write_text(text)
    return load_recipe(path, registry(), changes)


def test_the_budget_is_part_of_the_run_s_identity(tmp_path: Path) -> None:
    recipe = recipe_of(RECIPE, tmp_path)
    assert run_hash(recipe, None) != run_hash(recipe_of(RECIPE, tmp_path, "budget=4"), None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget: 3\n", "", 'the key "budget" is missing'),
        ("describer: first\n", "", "there is no describer"),
        ("[asking]", "[{use: asking, describer: frist}]", 'called "frist"'),
        ("[asking]", "[asking, {use: asking, name: two}]", "only one labeler"),
        ("budget: 3", "budget: -1", "budget"),
        ("budget: 3", "budget: {questions: 3}", "budget"),
    ],
)
def test_a_labeler_needs_a_describer_and_a_budget(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(LatteError) as raised:
        recipe_of(RECIPE.replace(old, new), tmp_path)
    assert message in str(raised.value)


def test_a_budget_that_no_labeler_obeys_is_refused(tmp_path: Path) -> None:
    unlimited = RECIPE.replace("[asking]", "[frozen]") + "descriptions: [class, image]\n"
    with pytest.raises(LatteError) as raised:
        recipe_of(unlimited, tmp_path)
    line = unlimited.splitlines().index("budget: 3") + 1
    assert f"squares.yaml:{line}" in str(raised.value)
    assert 'requests for the description "image" have no limit' in str(raised.value)
    assert str(raised.value).endswith("asking")  # the labeler that obeys a budget
    recipe_of(unlimited, tmp_path, "budget=null")
    recipe_of(unlimited, tmp_path, "descriptions=[class]")
    control = f"controls: {{no-questions: {{labels: [frozen]}}}}\n{unlimited}"
    recipe_of(control.replace("labels: [frozen]\n", "labels: [asking]\n"), tmp_path)


@pytest.mark.thorough
def test_a_run_asks_within_its_budget_and_reports_the_counts(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    write_colour_images(tmp_path / "test", NAMES, 1, (40, 36))
    recipe = recipe_of(RECIPE.replace("CLIP", str(tiny_clip_folder)), tmp_path)
    First.sent.clear()
    results = run_recipe(recipe, registry(), RecordedProgress(), output=tmp_path / "runs")
    assert results is not None
    assert len(First.sent) == 3
    expected = (
        QuestionCounts("sheets", 1, stored=0, unanswered=0),
        QuestionCounts("images", 2, stored=0, unanswered=0, kept=2, contradictory=1),
    )
    assert results.record.train.questions == expected
    printed = " ".join(summary_table(results).split())
    assert "Questions about sheets 1 (0 used, 0 not used), images 2" in printed
    page = (results.folder / "report" / "index.html").read_text()
    assert "Questions about sheets 1" in page
    repeated_results = run_recipe(
        recipe, registry(), RecordedProgress(), output=tmp_path / "others"
    )
    assert repeated_results is not None
    assert len(First.sent) == 3
    assert [counts.stored for counts in repeated_results.record.train.questions] == [1, 2]


@pytest.mark.thorough
def test_the_report_says_what_the_answers_brought(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    write_colour_images(tmp_path / "test", NAMES, 1, (40, 36))
    text = RECIPE.replace("CLIP", str(tiny_clip_folder))
    controls = "controls: {no-questions: {labels: [frozen]}}\n"
    recipe = recipe_of(text + controls, tmp_path)
    results = run_recipe(recipe, registry(), RecordedProgress(), output=tmp_path / "runs")
    assert results is not None
    printed = " ".join(summary_table(results).split())
    assert (
        'The answers brought 0 points over the control "no-questions" on 3 labelled images.'
        in printed
    )


def test_a_dry_run_of_describe_lists_questions_and_asks_none(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    text = RECIPE.replace("CLIP", str(tiny_clip_folder)).replace("evaluation: test", "")
    recipe = recipe_of(text + "descriptions: [class, {use: group, size: 2}]\n", tmp_path)
    First.sent.clear()
    planned = plan_questions(recipe, registry(), RecordedProgress(), None)
    assert [(questions.purpose, questions.stored) for questions in planned] == [
        ("group", 0),
        ("sheets", 0),
        ("images", 0),
    ]
    assert [questions.to_ask for questions in planned[1:]] == [1, 2]
    assert First.sent == []
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_reports_the_mean_tokens_of_stored_answers(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    text = RECIPE.replace("CLIP", str(tiny_clip_folder)).replace("evaluation: test", "")
    recipe = recipe_of(text + "descriptions: [image]\n", tmp_path, "budget=30")
    assert {
        questions.tokens
        for questions in plan_questions(recipe, registry(), RecordedProgress(), None)
    } == {None}
    for number, describer in enumerate(("choice-1 first-1", "text-1 first-1", "choice-1 other")):
        record = StoredText.unanswered(describer, "old?", [], "single", number)
        answer = f'{{"answer": [1, 0], "tokens": [{900 + 10 * number}, {6 + number}]}}'
        with DescriptionStore(description_folder()) as store:
            store.put_many([replace(record, text=answer)])
    planned = plan_questions(recipe, registry(), RecordedProgress(), None)
    assert [questions.purpose for questions in planned] == ["image", "sheets", "images"]
    assert {questions.tokens for questions in planned} == {MeanTokens(905.0, 6.5, answers=2)}
    prices = SpendingSettings(input=10.0, output=100.0)
    cli_describe._print_questions(planned, prices)
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines == [
        "to ask in all: 13 questions",
        "first: 905 input and 6 output tokens per question, the mean of 2 stored answers",
        "expected cost of the questions to ask: 0.1261",
    ]


def test_the_command_prints_questions_by_purpose(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_colour_images(tmp_path / "images", NAMES, 2, (40, 36))
    text = RECIPE.replace("CLIP", str(tiny_clip_folder)).replace("evaluation: test", "")
    plain = text.replace("first", "phrases").replace("[asking]\n", "[frozen]\n")
    plain = plain.replace("budget: 3\n", "")
    (tmp_path / "squares.yaml").write_text(plain + "descriptions: [image]\n")
    assert run_command_line(["describe", "squares.yaml", "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "phrases image 6 0 6 to ask in all: 6 questions" in printed
    assert not (tmp_path / "runs").exists()
    unwritable = ["--set", "output=squares.yaml/below-a-file"]
    assert run_command_line(["describe", "squares.yaml", "--dry-run", *unwritable]) == 0
    assert run_command_line(["describe", "squares.yaml", *unwritable]) == 2
