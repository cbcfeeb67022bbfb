"""The benchmark of measured gains: its folders, answers, folds, and what a gain must be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gains
from benchmarks.gain_draws import IN_ORDER, PLANS, RANDOM, Draw, draws, made_folder
from latte.interfaces import Interval
from tests.benchmarks.test_answers import features_file, labelled_set, use_random_names


def some_draws(plan: str, *, in_series: bool, wrong: float = 0.0) -> list[Draw]:
    folder = made_folder(labelled_set(), 45, 0, in_series=in_series)
    return [*draws(folder, plan, (6, 12, 1000), 1, wrong)]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("in_series", [False, True])
def test_draws_keep_the_answers_of_the_one_before(plan: str, in_series: bool) -> None:
    few, many = some_draws(plan, in_series=in_series)
    assert [int((draw.given >= 0).sum()) for draw in (few, many)] == [6, 12]
    is_given = few.given >= 0
    assert torch.equal(few.given[is_given], many.given[is_given])
    assert torch.equal(many.given[many.given >= 0], many.truth[many.given >= 0])


def test_no_series_has_answers_in_two_folds_or_on_both_sides() -> None:
    draw = some_draws(RANDOM, in_series=True)[1]
    assert draw.series.bincount().tolist() == [3] * 15
    for series in draw.series[draw.given >= 0].unique().tolist():  # type: ignore[no-untyped-call]
        in_series = draw.series == series
        assert len(draw.fold[in_series & (draw.given >= 0)].unique()) == 1  # type: ignore[no-untyped-call]
        assert not draw.is_other[in_series].any()


def test_left_out_labels_are_those_of_the_fold_without_the_answer() -> None:
    draw = some_draws(IN_ORDER, in_series=False)[1]
    rows = (draw.given >= 0).nonzero().squeeze(1).tolist()
    labels = [int(draw.left_out[draw.fold[row], row]) for row in rows]
    assert draw.answered.taught.tolist() == labels


def test_mistakes_make_the_due_gain_smaller() -> None:
    draw = some_draws(RANDOM, in_series=False)[0]
    sample = gains.GainSample("photos", RANDOM, draw, 0.1)
    classes = draw.classes
    assert sample.due == pytest.approx(draw.gain * (0.9 - 0.1 / (classes - 1)))
    assert replace(sample, wrong=0.0).due == draw.gain


def test_each_half_is_judged_by_the_factor_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = some_draws(RANDOM, in_series=False)[0]
    needs = {"a": 1.2, "b": 1.5, "c": 1.2, "d": 1.5}
    samples = [
        gains.GainSample(name, RANDOM, replace(draw, classes=int(10 * needs[name])))
        for name in needs
    ]
    monkeypatch.setattr(
        gains,
        "estimate",
        lambda draw, factor: (
            Interval(0.0, -1.0, 1.0) if factor >= draw.classes / 10 else Interval(5.0, 5.0, 5.0)
        ),
    )
    cell = gains.GainCell(RANDOM, False, 6)
    assert gains.judged({cell: samples}) == {"a": 1.5, "b": 1.2, "c": 1.5, "d": 1.2}


def test_gains_prints_a_row_for_each_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_random_names(monkeypatch)
    path = features_file(tmp_path)
    gains.main(["--features", str(path), "--answers", "6", "--draws", "1", "--most", "24"])
    printed = capsys.readouterr().out
    for cell in ("6 random", "6 random, series", "6 in order", "6 in order, series", "all"):
        assert f"| {cell} |" in printed
