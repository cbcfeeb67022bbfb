"""Statements on measured accuracies claim no more than the intervals allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import Interval, RunModel, Verdict
from latte.report.accuracy import accuracy_statements, gain_sentence, measured_models
from latte.report.statement import Statement
from latte.report.statements import details
from tests.helpers.report_examples import (
    ADAPTED,
    CONTROL,
    ZERO_SHOT,
    changed,
    remeasured,
    run_model,
    run_results,
    top1,
)


def adapted(value: float, low: float, high: float) -> RunModel:
    return remeasured(ADAPTED, gain=Interval(value, low, high))


def stated(models: tuple[RunModel, ...], verdict: Verdict | None = None) -> list[Statement]:
    results = run_results(Path(), models=models, verdict=verdict)
    return accuracy_statements(measured_models(results.record), verdict, is_answered=False)


def result(models: tuple[RunModel, ...], verdict: Verdict | None = None) -> Statement:
    """Return the statement on the result of a run with these models."""
    (statement,) = [
        statement for statement in stated(models, verdict) if statement.kind == "result"
    ]
    return statement


def cautions(*models: RunModel) -> list[str]:
    return [statement.text for statement in stated(models) if statement.kind == "caution"]


def plain(text: str) -> str:
    return " ".join(text.split())


def test_a_gain_is_one_whose_interval_lies_above_zero() -> None:
    verdict = result((ZERO_SHOT, adapted(0.045, 0.0125, 0.0775)))
    assert verdict.tone == "better"
    assert plain(verdict.text) == (
        "Adapting gained 4.5 points: top-1 went from 55.0 % to 59.5 % on 400 labelled images "
        "(95 % interval of the difference +1.2 to +7.8 points)."
    )


@pytest.mark.parametrize(("low", "high"), [(-0.01, 0.03), (0.0, 0.03), (-0.03, 0.0)])
def test_an_interval_with_zero_in_it_is_no_gain(low: float, high: float) -> None:
    verdict = result((ZERO_SHOT, adapted((low + high) / 2, low, high)))
    assert verdict.tone == "same"
    assert "No measurable gain" in verdict.text
    assert "gained" not in verdict.text


def test_a_loss_is_called_a_loss() -> None:
    verdict = result((ZERO_SHOT, adapted(-0.03, -0.05, -0.01)))
    assert verdict.tone == "worse"
    assert verdict.text.startswith("Adapting lost 3.0 points")


def test_a_control_that_did_as_well_is_named() -> None:
    rival = remeasured(replace(CONTROL, name="rival"), top1=top1(ADAPTED))
    (caution,) = cautions(ZERO_SHOT, ADAPTED, CONTROL, rival)
    assert "“rival” did at least as well: 59.5" in caution
    assert not cautions(ZERO_SHOT, ADAPTED, CONTROL)


def test_without_an_evaluation_the_accuracy_is_unknown() -> None:
    verdict = result(())
    assert verdict.tone == "unknown"
    assert "accuracy is unknown" in verdict.text
    assert "%" not in verdict.text
    assert result((), Verdict(1.0, "halves agree")) == verdict


@pytest.mark.parametrize(("value", "change"), [(0.12, -0.06), (0.1, 0.0), (0.06, 0.06)])
def test_accuracies_that_are_not_above_chance_are_called_so(value: float, change: float) -> None:
    """With three classes chance is 33 %, far above all these accuracies."""
    poor_zero_shot = remeasured(ZERO_SHOT, top1=Interval(value, value - 0.05, value + 0.05))
    adapted_top1 = value + change
    moved = Interval(change, change - 0.02, change + 0.02)
    poor = remeasured(
        ADAPTED, top1=Interval(adapted_top1, adapted_top1 - 0.05, adapted_top1 + 0.05), gain=moved
    )
    chance = "Neither is measurably better than chance (33.3 % for 3 classes)"
    assert chance in plain(result((poor_zero_shot, poor)).text)
    differing_verdict = Verdict(0.0, "halves differ")
    assert chance in plain(result((poor_zero_shot, poor), differing_verdict).text)
    for good in ((ZERO_SHOT, poor), (poor_zero_shot, ADAPTED)):
        assert "chance" not in result(good).text


def test_too_few_images_to_be_better_than_chance_give_no_warning() -> None:
    """With two classes, three correct images have an interval from 44 %, and four from 51 %."""
    for images, has_warning in ((3, False), (4, True)):
        zero_shot = run_model("zero-shot", (1, 0), images=(images, 0))
        adapted = run_model("adapted", (1, 0), Interval(0.0, 0.0, 0.0), images=(images, 0))
        assert ("chance" in result((zero_shot, adapted)).text) == has_warning


def test_own_images_are_explained() -> None:
    zero_shot, adapted = (
        replace(model, own_images=run_model(model.name, (9,) * 3, gain, (9,) * 3).classifier)
        for model, gain in ((ZERO_SHOT, None), (ADAPTED, Interval(0.0, 0.0, 0.0)))
    )
    headline, note, table = stated((zero_shot, adapted))
    without = stated((ZERO_SHOT, ADAPTED))
    assert [headline] == without[:-1]
    roles = [(row["name"], row["role"]) for row in table.scores]
    assert roles == [
        ("zero-shot", "zero-shot"),
        ("zero-shot, own images", "zero-shot"),
        ("adapted", "adapted"),
        ("adapted, own images", "adapted"),
    ]
    assert len(without[-1].scores) == 2
    assert "also training images: 27" in plain(note.text)
    assert "400 test images" in plain(note.text)


def test_the_control_without_questions_measures_the_gain(tmp_path: Path) -> None:
    control = remeasured(replace(CONTROL, name="no-questions"), top1=top1(ZERO_SHOT))
    results = run_results(
        tmp_path, reliability="It is <right>.", models=(ZERO_SHOT, ADAPTED, control)
    )
    expected = (
        "The answers brought +4.5 points over the control “no-questions” on 400 labelled images."
    )
    assert gain_sentence(results) == expected
    assert [statement.text for statement in details(results)][-2:] == ["It is <right>.", expected]
    assert gain_sentence(changed(results, verdict=Verdict(0.5, "halves agree"))) is None
    assert gain_sentence(run_results(tmp_path)) is None
