"""The simulated describer of `python -m benchmarks questions`, on sheets and single images."""

from __future__ import annotations

import pytest
import torch
from latte_benchmarks.folder_cells import Folder, LabelledImages, LabelledSet, cells_called
from latte_questions.interview import Interview
from torch.nn.functional import normalize

from benchmarks.confused_describer import ConfusedDescriber
from benchmarks.question_arms import answered, fitted
from benchmarks.question_describer import SimulatedDescriber, picture, shown_rows
from benchmarks.question_gains import Constants, GainCase, cases_of, say_calibration
from benchmarks.question_reliability import OverallInterview, say_reliabilities
from latte.data.groups import grid
from latte.interfaces import LatteError

CLASSES, EACH = 6, 20


def folder() -> Folder:
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    centres, generator = torch.eye(CLASSES, 16), torch.Generator().manual_seed(0)
    noise = 0.12 * torch.randn(len(labels), 16, generator=generator)
    images = LabelledImages(normalize(centres[labels] + noise, dim=1), labels)
    texts = normalize(torch.eye(16)[15] + 0.03 * centres[[1, 2, 0, 3, 4, 5]], dim=1)
    names = tuple(f"class {label}" for label in range(CLASSES))
    mix = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    return Folder(names, texts, 100.0, images, images, mix)


def simulated(right: float | None) -> SimulatedDescriber:
    return SimulatedDescriber(folder(), right, seed=0)


def test_images_are_recognised_on_sheets() -> None:
    rows = [0, 7, 255, 256, 1999]
    assert sorted(shown_rows(grid([picture(row) for row in rows]))) == rows
    assert shown_rows(picture(300)) == [300]


@pytest.mark.parametrize(("right", "least", "most"), [(0.99, 75, 100), (None, 45, 55)])
def test_good_answers_help_and_chance_changes_nothing(
    right: float | None, least: float, most: float
) -> None:
    accuracy = answered(folder(), simulated(right), 60)
    assert least <= accuracy.own <= most
    assert accuracy.questions <= 60


def test_a_confused_describer_errs_on_a_third_of_the_pairs_and_keeps_the_mean() -> None:
    describer = ConfusedDescriber(folder(), 0.8, seed=0)
    assert len(describer.bad) == CLASSES * (CLASSES - 1) / 6
    assert 0.5 <= describer.right_if_bad < 0.8 < describer.right_elsewhere <= 0.99
    accuracy = answered(folder(), describer, 60)
    assert accuracy.own > fitted(folder()).own + 10
    with pytest.raises(LatteError, match="needs a number p"):
        ConfusedDescriber(folder(), None, seed=0)


def test_only_one_arm_has_a_reliability_per_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    interviews: list[Interview] = []

    def of_images(interview: Interview) -> dict[int, float]:
        interviews.append(interview)
        return {}

    monkeypatch.setattr(Interview, "of_images", of_images)
    answered(folder(), simulated(0.8), 60, interview=OverallInterview)
    assert interviews == []
    answered(folder(), simulated(0.8), 60)
    assert interviews


def test_reliabilities_are_compared_for_each_share(capsys: pytest.CaptureFixture[str]) -> None:
    cell = cells_called(["all names"])[0]
    say_reliabilities([whole()], cell, 0.8, [0.25, 1], 1, SimulatedDescriber)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| set | 25 % | all |"
    assert rows[2].replace("squares", "mean") == rows[3]
    assert "(+0.0) |" in rows[2]


def whole(name: str = "squares") -> LabelledSet:
    squares = folder()
    return LabelledSet(
        name, name, squares.names, squares.texts, squares.logit_scale, squares.own, squares.test
    )


def test_a_case_has_the_measured_gain_and_a_useless_describer_changes_no_label() -> None:
    good, useless = cases_of(whole(), folder(), [0.99, None], [0.25], seed=0)
    assert useless is None
    assert good is not None
    measured_gain = answered(folder(), simulated(0.99), 60).own - fitted(folder()).own
    assert good.gain == pytest.approx(measured_gain)
    assert measured_gain > 10
    assert 0 < good.raw <= 100


def test_budgets_for_which_no_gain_is_expected_are_cases_too() -> None:
    (only_case,) = cases_of(whole(), folder(), [0.99], [1.0], seed=0)
    assert only_case is not None
    assert only_case.gain > 10


def test_budgets_that_the_labeler_refuses_are_left_out() -> None:
    assert [*cases_of(whole(), folder(), [0.99], [0.1], seed=0)] == []


def test_constants_give_each_source_the_same_weight() -> None:
    many = [GainCase("many", 10.0, 10.0)] * 30
    few = [GainCase("few", 20.0, 0.0), GainCase("few", 20.0, 4.0)]
    constants = Constants.of([*many, *few])
    assert constants.share == pytest.approx((10 + 2) / (10 + 20))
    assert (constants.low, constants.high) == pytest.approx((0.0, 1.0))
    assert constants.contain(GainCase("other", 7.0, 7.0))
    assert not constants.contain(GainCase("other", 7.0, 7.1))
    assert not constants.contain(GainCase("other", 7.0, -0.1))


def test_each_set_is_judged_by_constants_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    sets = [whole("first"), whole("second")]
    say_calibration(sets, cells_called(["all names"]), [0.99, None], [0.25], seeds=1)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    first_row, second_row, all_row = rows[2:5]
    assert [first_row[0], second_row[0], all_row[0]] == ["| first", "| second", "| all"]
    assert [int(row[1]) for row in (first_row, second_row, all_row)] == [1, 1, 2]
    ratio = f"{float(second_row[3]) / float(second_row[2]):.2f}"
    assert first_row[4].startswith(ratio)
    assert rows[-1] == ["2 of 4 runs changed no label"]
