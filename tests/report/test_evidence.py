"""The gain that a person's answers measure, beside the verdict in every report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import RunResults, Verdict
from latte.report.card import model_card
from latte.report.comparison.comparison import compare_runs
from latte.report.comparison.output import as_json, table
from latte.report.comparison.page import page
from latte.report.page.page import run_page
from latte.report.summary import summary_table
from latte.review.session import Mark, Review
from tests.helpers.comparison_folders import run_folder
from tests.helpers.html_document import parse
from tests.helpers.records import record
from tests.helpers.report_examples import CLASSES, run_results
from tests.helpers.reviews import answer_all, made_up_review, write_labels

ADAPTED = Verdict(1.0, "the texts and the groups of images agree")
KEPT = Verdict(0.0, "the texts and the groups of images agree")
HINT = "To measure the gain with a few dozen answers: latte review animals-1a2b3c4d"
GAIN = "After 30 answers: the adapted model is better by +25.0 points"


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """The review of the run of `unlabelled`."""
    return made_up_review(tmp_path / "animals-1a2b3c4d", CLASSES)


def unlabelled(folder: Path, verdict: Verdict | None = ADAPTED, **changes: Any) -> RunResults:
    return replace(run_results(folder, **changes), verdict=verdict, evaluations=(), confusions={})


def squashed(text: str) -> str:
    return " ".join(text.split())


def test_page_and_card_without_answers_show_one_line(tmp_path: Path, review: Review) -> None:
    results = unlabelled(tmp_path)
    header = parse(run_page(results)).one("header").words
    assert header.count(HINT) == 1
    assert model_card(results).count(HINT) == 1
    assert summary_table(results, "my runs/a").count("latte review 'my runs/a'") == 1
    # An answer about an image on which the models agree measures no gain.
    agreed = review.population.agreements[0][0]
    review.save("evidence", [Mark(agreed.key, "none")])
    assert HINT in model_card(results)


@pytest.mark.parametrize("verdict", [ADAPTED, None])
def test_measured_gain_is_the_headline_and_the_verdict_comes_below(
    tmp_path: Path, review: Review, verdict: Verdict | None
) -> None:
    answer_all(review, "adapted", 40)
    results = unlabelled(tmp_path, verdict)
    document = parse(run_page(results))
    summary = squashed(summary_table(results))
    start = model_card(results).partition("## Intended use")[0]
    for text in (document.one("header").words, summary, squashed(start)):
        gain, _, below = text.replace("\\", "").partition("Accuracy (95 % intervals): zero-shot")
        assert GAIN in gain
        assert "No verdict" not in gain
        assert ("The guard's verdict" in below) == (verdict is not None)
        assert "not known" not in text and "one in four" not in text
    everything = f"{document.one('body').words} {summary} {model_card(results)}"
    for wrong in ("The accuracy is unknown", "Its accuracy was not measured", HINT):
        assert wrong not in everything
    result = document.by_id("result").words
    assert result.startswith(f"Result {GAIN}")
    assert "answers about training images measure the gain" in result
    assert summary.count(GAIN) == 1


def test_summary_with_a_measured_loss_is_ascii(tmp_path: Path, review: Review) -> None:
    answer_all(review, "zero_shot", 40)
    summary = summary_table(unlabelled(tmp_path))
    start = squashed(summary)
    assert start.startswith("Adapted. After 30 answers: zero-shot CLIP is better; the adapted")
    assert "The labels by zero-shot CLIP are in pseudo_labels.csv" in start
    assert "-25.0 points" in summary
    assert summary.isascii()


def test_kept_zero_shot_is_measured_against_the_rejected_candidate(tmp_path: Path) -> None:
    folder = tmp_path / "animals-1a2b3c4d"
    made_up_review(folder, CLASSES)
    write_labels(folder / "candidate", CLASSES)
    verdict = {"strength": 0.0, "reason": "so it is"}
    record(folder, ("train", "verdict"), verdict)
    answer_all(made_up_review(folder, CLASSES), "adapted", 40)
    words = parse(run_page(unlabelled(tmp_path, KEPT))).one("header").words
    gain = "Kept zero-shot CLIP. After 30 answers: the candidate is better by +25.0 points"
    assert gain in words
    assert "images alone: kept zero-shot. The texts and the groups" in words
    assert "latte predict animals-1a2b3c4d IMAGES --candidate" in words


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Two runs without labelled images: one with a verdict and answers, one without."""
    for seed, name in enumerate(("first", "second")):
        folder = run_folder(tmp_path / name, right=None, settings={"seed": seed})
        write_labels(folder, CLASSES)
    verdict = {"strength": 1.0, "reason": "so it is"}
    record(tmp_path / "first", ("train", "verdict"), verdict)
    return tmp_path


def test_comparison_shows_verdict_and_measured_gain_of_each_run(compared: Path) -> None:
    assert "After" not in table(compare_runs([compared]))
    made_up = made_up_review(compared / "elsewhere", CLASSES)
    answer_all(made_up, "adapted", 40)
    made_up.file.rename(compared / "first" / "review.jsonl")
    found = compare_runs([compared / "first", compared / "second"])
    note = f"first: cannot tell. {GAIN}"
    assert note in squashed(table(found))
    assert "second:" not in table(found)
    assert note in parse(page(found)).by_id("notes").words
    (row,) = as_json(found)["rows"]
    (reviewed,) = row["reviews"]
    assert reviewed["folder"] == str(compared / "first")
    assert (reviewed["answered"], reviewed["gain"]) == (30, pytest.approx(0.25))
    assert reviewed["gain_low"] < 0.25 <= reviewed["gain_high"]
