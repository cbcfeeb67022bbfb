"""Changes of pseudo-labels: counts and the largest changes."""

from __future__ import annotations

from pathlib import Path

from latte.interfaces import LabelFlow
from latte.report.page.labels import MOST_FLOWS, flows
from tests.helpers.report_examples import run_results


def test_only_changes_are_shown_the_largest_first(tmp_path: Path) -> None:
    results = run_results(
        tmp_path,
        label_flows=(
            LabelFlow(0, 0, 9),
            LabelFlow(0, 1, 6),
            LabelFlow(2, 0, 3),
            LabelFlow(2, 2, 1),
        ),
    )
    changes = flows(results)
    assert changes is not None
    assert [tuple(row.values()) for row in changes["rows"]] == [
        ("tabby cat", "red fox", 6, "40\u202f%"),
        ("barn owl", "tabby cat", 3, "75\u202f%"),
    ]
    assert changes["covered"] == "100\u202f%"


def test_a_run_without_changes_lists_none(tmp_path: Path) -> None:
    changes = flows(run_results(tmp_path, label_flows=(LabelFlow(0, 0, 5),)))
    assert changes is not None
    assert changes["rows"] == []


def test_a_run_that_recorded_no_pairs_says_nothing(tmp_path: Path) -> None:
    assert flows(run_results(tmp_path, label_flows=())) is None


def test_many_changes_are_cut_and_the_rest_is_counted(tmp_path: Path) -> None:
    many = tuple(LabelFlow(label, label + 1, 100 - label) for label in range(40))
    results = run_results(
        tmp_path, class_names=tuple(f"c{number}" for number in range(41)), label_flows=many
    )
    changes = flows(results)
    assert changes is not None
    assert (len(changes["rows"]), changes["pairs"]) == (MOST_FLOWS, 40)
    assert changes["rows"][0]["images"] == 100
