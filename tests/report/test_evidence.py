"""The gain that a person's answers measure, beside the verdict."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from latte_benchmarks.comparison import compare_folders, notes

from latte.interfaces import Interval, RunResults, Verdict
from latte.interfaces.answer_facts import AnswerFacts, LeftOutAnswers
from latte.report.card import model_card
from latte.report.statements import details
from latte.report.summary import summary_table
from latte.results.folder import RunFolder
from latte.review.session import Mark, Review
from tests.helpers.made_up_runs import run_folder
from tests.helpers.one_line import squashed
from tests.helpers.records import record
from tests.helpers.report_examples import CLASSES, changed, run_results
from tests.helpers.reviews import answer_all, made_up_review, write_labels

pytestmark = pytest.mark.usefixtures("folder_above_the_run")

ADAPTED = Verdict(1.0, "the texts and the groups of images agree")
KEPT = Verdict(0.0, "the texts and the groups of images agree")
HINT = "To measure the gain with a few dozen answers: latte review animals-1a2b3c4d"
GAIN = "After 30 answers: the adapted model is better by +25.0 points"


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """The review of the run of `unlabelled`."""
    return made_up_review(tmp_path / "animals-1a2b3c4d", CLASSES)


def unlabelled(folder: Path, verdict: Verdict | None = ADAPTED, **changes: Any) -> RunResults:
    return changed(run_results(folder, **changes), verdict=verdict, models=(), confusions={})


def text_of(results: RunResults, run: str | None = None) -> str:
    """Return the texts and commands of all statements."""
    text_lists = (
        [statement.text, *map(": ".join, statement.commands)] for statement in details(results, run)
    )
    return " ".join(text for part in text_lists for text in part if text)


def test_without_answers_the_first_statement_asks_for_them(tmp_path: Path) -> None:
    results = unlabelled(tmp_path)
    ask = details(results, "my runs/a")[0]
    assert ask.kind == "ask"
    assert ask.text.startswith("2 groups of images to name, about 1 minute: a new run learns")
    assert [command.line for command in ask.commands] == ["latte review 'my runs/a'"]
    assert text_of(results).count("latte review") == 1


@pytest.mark.parametrize(
    ("groups", "time"),
    [(1, "1 group of images to name, about 1 minute:"), (8, "about 2 minutes:"),
     (20, "about 5 minutes:"), (21, "21 groups of images to name, the first 20 take about 5 ")],
)  # fmt: skip
def test_the_time_to_name_the_groups_is_estimated(tmp_path: Path, groups: int, time: str) -> None:
    counts = ((0, 9),) * groups + ((9, 0),) * 3
    assert time in details(unlabelled(tmp_path, pseudo_label_counts=counts))[0].text


def with_adapted_labels(folder: Path) -> None:
    """Write labels of an adapted model that the run does not use."""
    path = RunFolder(folder).adapted_model.pseudo_labels
    shutil.copyfile(folder / "pseudo_labels.csv", path)


def test_the_groups_are_those_of_a_rejected_model(tmp_path: Path) -> None:
    folder = tmp_path / "animals-1a2b3c4d"
    made_up_review(folder, CLASSES)
    with_adapted_labels(folder)
    assert details(unlabelled(tmp_path, KEPT))[0].text.startswith("3 groups of images")


def test_after_an_answer_only_the_command_that_measures_is_named(
    tmp_path: Path, review: Review
) -> None:
    agreed = review.population.agreements[0][0]
    review.save("evidence", [Mark(agreed.key, "none")])
    text = text_of(unlabelled(tmp_path))
    assert text.count(HINT) == 1
    assert "groups of images to name" not in text


def test_a_gain_that_left_out_answers_measure_is_not_called_unknown(tmp_path: Path) -> None:
    estimate = LeftOutAnswers(
        answers=40, folds=5, zero_shot=0.5, adapted=0.7, gain=Interval(0.2, 0.1, 0.3)
    )
    answers = AnswerFacts(answers=50, classes=9, measured=estimate)
    recipe = {"corrections": "photos/review.jsonl"}
    taught = unlabelled(tmp_path, recipe=recipe, answers=answers)
    text = text_of(taught)
    assert "50 answers taught the model: it is better than zero-shot CLIP by +20" in text
    assert "answers about training images measure the gain" in text
    assert "The accuracy is unknown" not in text and "latte review" not in text
    unmeasured = unlabelled(tmp_path, recipe=recipe, answers=AnswerFacts(answers=1, classes=1))
    assert "The accuracy is unknown" in text_of(unmeasured)
    assert text_of(unmeasured).count(HINT) == 1


def test_labelled_images_need_no_answers(tmp_path: Path) -> None:
    assert "latte review" not in text_of(changed(run_results(tmp_path), verdict=ADAPTED))


@pytest.mark.parametrize("verdict", [ADAPTED, None])
def test_measured_gain_is_the_headline_and_the_verdict_comes_below(
    tmp_path: Path, review: Review, verdict: Verdict | None
) -> None:
    answer_all(review, "adapted", 40)
    results = unlabelled(tmp_path, verdict)
    headline, text = details(results)[0], text_of(results)
    assert GAIN in headline.text
    assert (headline.kind, headline.tone) == ("verdict", "better")
    gain, _, below = text.partition("Accuracy (95 % intervals): zero-shot")
    assert "No verdict" not in gain
    assert ("The guard's verdict" in below) == (verdict is not None)
    assert "answers about training images measure the gain" in text
    for wrong in ("not known", "one in four", "The accuracy is unknown", HINT):
        assert wrong not in text
    assert text.count(GAIN) == 1
    assert "Its accuracy was not measured" not in model_card(results)


def test_summary_with_a_measured_loss_is_ascii(tmp_path: Path, review: Review) -> None:
    answer_all(review, "zero_shot", 40)
    summary = summary_table(unlabelled(tmp_path))
    start = squashed(summary)
    assert start.startswith("Adapted. After 30 answers: zero-shot CLIP is better; the adapted")
    assert "The labels by zero-shot CLIP are in pseudo_labels.csv" in start
    assert "-25.0 points" in summary
    assert summary.isascii()


def test_kept_zero_shot_is_measured_against_the_rejected_model(tmp_path: Path) -> None:
    folder = tmp_path / "animals-1a2b3c4d"
    made_up_review(folder, CLASSES)
    with_adapted_labels(folder)
    verdict = {"strength": 0.0, "reason": "so it is"}
    record(folder, ("judge", "verdict"), verdict)
    answer_all(made_up_review(folder, CLASSES), "adapted", 40)
    words = text_of(unlabelled(tmp_path, KEPT))
    gain = "Kept zero-shot CLIP. After 30 answers: the adapted model is better by +25.0 points"
    assert gain in words
    assert "images alone: kept zero-shot. The texts and the groups" in words
    assert "latte predict animals-1a2b3c4d IMAGES --use adapted" in words


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Two runs without labelled images: one with a verdict and answers, one without."""
    for seed, name in enumerate(("first", "second")):
        folder = run_folder(tmp_path / name, right=None, settings={"seed": seed})
        write_labels(folder, CLASSES)
    verdict = {"strength": 1.0, "reason": "so it is"}
    record(tmp_path / "first", ("judge", "verdict"), verdict)
    return tmp_path


def test_comparison_shows_verdict_and_measured_gain_of_each_run(compared: Path) -> None:
    assert not any("After" in note for note in notes(compare_folders([compared])))
    made_up = made_up_review(compared / "elsewhere", CLASSES)
    answer_all(made_up, "adapted", 40)
    made_up.file.rename(compared / "first" / "review.jsonl")
    texts = notes(compare_folders([compared / "first", compared / "second"]))
    assert any(text.startswith(f"first: {GAIN}") for text in texts)
    assert any(text.startswith("Verdicts of guards: animals") for text in texts)
    assert not any(text.startswith("second:") for text in texts)
