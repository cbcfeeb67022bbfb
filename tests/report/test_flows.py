"""Changes of pseudo-labels: counts, and ribbons drawn to scale."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import LabelFlow
from latte.report.page.flows import LISTED, Flow, flow_chart, flows
from tests.helpers.html_document import Element, parse
from tests.helpers.report_examples import run_results

names = st.sampled_from(["cat", "dog", "owl", "fox", "ant", "bee", "eel", "elk"])
some_flows = st.lists(
    st.builds(Flow, names, names, st.integers(1, 5000)),
    min_size=1,
    max_size=14,
    unique_by=lambda flow: (flow.start, flow.end),
)


def drawn(found: list[Flow]) -> Element:
    return parse(str(flow_chart(found, "flows")))


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
    found = flows(results)
    assert found is not None
    assert "gives 9 of 19 training images (47\u202f%)" in found.sentence
    assert [(row.start, row.end, row.images, row.share) for row in found.rows] == [
        ("tabby cat", "red fox", 6, "40\u202f%"),
        ("barn owl", "tabby cat", 3, "75\u202f%"),
    ]
    assert found.covered == "100\u202f%"


def test_where_nothing_changed_there_is_no_picture(tmp_path: Path) -> None:
    found = flows(run_results(tmp_path, label_flows=(LabelFlow(0, 0, 5),)))
    assert found is not None
    assert found.chart is None
    assert "gives 0 of 5" in found.sentence


def test_a_run_that_recorded_no_pairs_says_nothing(tmp_path: Path) -> None:
    assert flows(run_results(tmp_path, label_flows=())) is None


def test_many_changes_are_cut_and_the_rest_is_counted(tmp_path: Path) -> None:
    many = tuple(LabelFlow(label, label + 1, 100 - label) for label in range(40))
    results = run_results(
        tmp_path, class_names=tuple(f"c{one}" for one in range(41)), label_flows=many
    )
    found = flows(results)
    assert found is not None
    assert (len(found.rows), found.pairs) == (LISTED, 40)
    assert found.rows[0].images == 100


@given(some_flows)
def test_ribbons_are_as_wide_as_their_numbers(found: list[Flow]) -> None:
    picture = drawn(found)
    ribbons = [*picture.all("path")]
    assert len(ribbons) == len(found)
    images = {one.words.rpartition(": ")[0]: one for one in ribbons}
    assert len(images) == len(found)
    height = float(picture.one("svg").attributes["viewbox"].split()[3])
    for bar in picture.all("rect"):
        bottom = float(bar.attributes["y"]) + float(bar.attributes["height"])
        assert bottom <= height


@given(some_flows)
def test_bars_at_both_sides_have_the_same_height_in_all(found: list[Flow]) -> None:
    bars = [*drawn(found).all("rect")]
    for side in ("zero-shot", "adapted"):
        heights = [float(b.attributes["height"]) for b in bars if b.attributes["class"] == side]
        unit = min(12.0, 260 / sum(flow.images for flow in found))
        assert abs(sum(heights) - unit * sum(flow.images for flow in found)) < 0.06 * len(heights)
