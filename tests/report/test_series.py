"""Series read from metrics rows: order, thinning, and unusable values."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from latte.report.charts import LONGEST, figures, series
from latte.report.page.curves import recorded
from tests.helpers.report_examples import steps


def rows_of(values: list[float]) -> list[dict[str, object]]:
    return [
        {"event": "step", "step": step, "epoch": 0, "loss": value}
        for step, value in enumerate(values, start=1)
    ]


@given(st.lists(st.floats(-1e6, 1e6), max_size=1000))
def test_thinning_keeps_mean_extremes_and_order(values: list[float]) -> None:
    loss_series = series(rows_of(values), "step", "loss")

    assert len(loss_series.samples) <= LONGEST
    assert (loss_series.steps_per_sample > 1) == (len(values) > LONGEST)
    positions = [sample.step for sample in loss_series.samples]
    assert positions == sorted(set(positions))
    if values:
        assert min(sample.low for sample in loss_series.samples) == min(values)
        assert max(sample.high for sample in loss_series.samples) == max(values)


def test_a_short_series_is_kept_as_it_is() -> None:
    loss_series = series(steps(LONGEST), "step", "loss")
    assert [sample.value for sample in loss_series.samples] == [
        1 / step for step in range(1, LONGEST + 1)
    ]
    assert loss_series.steps_per_sample == 1


def test_a_long_series_becomes_means_and_ranges() -> None:
    loss_series = series(rows_of([0.0, 1.0] * LONGEST), "step", "loss")
    assert loss_series.steps_per_sample == 2
    assert {(sample.value, sample.low, sample.high) for sample in loss_series.samples} == {
        (0.5, 0.0, 1.0)
    }


def test_values_that_are_no_numbers_are_left_out_and_counted() -> None:
    loss_series = series(rows_of([1.0, math.nan, math.inf, 2.0]), "step", "loss")
    assert [sample.value for sample in loss_series.samples] == [1.0, 2.0]
    assert loss_series.unusable == 2


def test_of_two_rows_for_a_step_the_later_counts() -> None:
    loss_series = series(
        [*rows_of([1.0, 2.0]), *rows_of([1.0])[:1], {**rows_of([9.0])[0]}], "step", "loss"
    )
    assert [sample.value for sample in loss_series.samples] == [9.0, 2.0]


def test_only_numbers_of_the_event_are_figures() -> None:
    rows = [
        {
            "event": "step",
            "step": 1,
            "epoch": 0,
            "loss": 1,
            "skipped": True,
            "note": "x",
            "gap": None,
        },
        {"event": "step", "step": 2, "epoch": 0, "loss": 1, "agreement": 0.5},
        {"event": "epoch", "step": 2, "epoch": 0, "top1": 0.5},
    ]
    assert figures(rows, "step") == ["loss", "agreement"]
    assert figures(rows, "epoch") == ["top1"]


def test_parameters_of_a_loss_are_no_figures_of_the_training() -> None:
    row = {
        "event": "step",
        "step": 1,
        "epoch": 0,
        "loss": 1.0,
        "loss.loss": 2.0,
        "loss.margin": 3.0,
    }
    assert recorded([row], "loss") == [("step", "loss")]
    assert recorded([row], "margin") == []
    step_row = {"event": "step", "step": 1, "epoch": 0, "a.loss": 1.0, "a.loss.loss": 2.0}
    assert recorded([step_row], "loss") == [("step", "a.loss")]
