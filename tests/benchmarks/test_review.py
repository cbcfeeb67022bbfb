"""Simulated reviews with series: one answer per series, and intervals that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import review
from benchmarks.frozen_model import GROUPS_FIRST
from benchmarks.moving_model import LEAST, PLANS
from benchmarks.review import Case, made_series, simulate
from latte.interfaces import LatteError
from tests.helpers.labelled_sets import labelled_set


def labels(images: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, images)
    zero_shot, adapted = (
        np.where(random.random(images) < share, truth, (truth + 1) % 4) for share in (0.5, 0.7)
    )
    return [truth, zero_shot, adapted]


def test_made_series_have_one_true_label_and_at_most_the_largest_size() -> None:
    all_labels = labels(600)
    series = made_series(all_labels, 30, np.random.default_rng(0))
    sizes = np.bincount(series)
    assert 1 <= sizes.min() <= 3
    assert 25 <= sizes.max() <= 30
    assert all(len({*all_labels[0][series == number]}) == 1 for number in range(len(sizes)))
    assert made_series(all_labels, 1, np.random.default_rng(0)).tolist() == [*range(600)]


def test_reviewers_of_series_give_fewer_answers_and_their_intervals_hold() -> None:
    all_labels, cells = labels(600), []
    for largest in (1, 30):
        series = made_series(all_labels, largest, np.random.default_rng(0))
        cells.append(simulate(Case("made", *all_labels, series), 40, 0.0, 0))
    alone, joined = cells
    assert alone[:4] == joined[:4]
    assert float(joined[4].rstrip("%")) >= 95
    assert float(joined[5]) < float(alone[5])


@pytest.fixture
def few_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate few answers about 100 images; two classes have each other's name."""
    plans = [replace(plan, answers=LEAST + 2) for plan in PLANS]
    monkeypatch.setattr("benchmarks.moving_model.PLANS", plans)
    named = labelled_set("made", classes=4, train=25)
    made = replace(named, texts=named.texts[[1, 0, 2, 3]])
    monkeypatch.setattr(review, "load_sets", lambda options: [made])


def rows_of(option: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Return the cells of the rows that `benchmarks review` prints about 100 images."""
    review.main([option, "100", "--reviewers", "2"])
    return [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "%" in line]


def test_moving_prints_a_row_for_each_plan(
    few_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of("--moving", capsys)
    assert [row[1] for row in rows] == [plan.name for plan in PLANS]
    assert float(rows[0][2]) > 0


def test_frozen_prints_a_row_for_each_number_of_groups(
    few_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of("--frozen", capsys)
    assert [row[1] for row in rows] == [str(number) for number in GROUPS_FIRST]
    accuracies = [float(row[2].rstrip("%")) for row in rows]
    assert 0 < accuracies[0] < accuracies[1]


@pytest.mark.parametrize("option", ["--moving", "--frozen"])
def test_few_images_are_refused(few_answers: None, option: str) -> None:
    with pytest.raises(LatteError, match="19 images to ask about are too few"):
        review.main([option, "19", "--reviewers", "1"])
