"""Confusions of a run: counts, chosen classes, and the size of heat maps."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import Confusion
from latte.report.page.confusion import DRAWN, chosen_classes, confusions, heat_map
from tests.helpers.html_document import parse
from tests.helpers.report_examples import changed, run_results

pairs = st.dictionaries(
    st.tuples(st.integers(0, 79), st.integers(0, 79)), st.integers(1, 50), max_size=60
)


def test_without_labels_there_are_none(tmp_path: Path) -> None:
    assert confusions(run_results(tmp_path, confusions={})) is None


def test_few_classes_keep_their_order() -> None:
    assert chosen_classes({(2, 0): 5}, DRAWN) == [*range(DRAWN)]


@given(pairs)
def test_of_many_classes_the_most_confused_are_drawn_once(
    cells: dict[tuple[int, int], int],
) -> None:
    order = chosen_classes(cells, 80)
    assert len(order) == len(set(order)) == DRAWN
    errors = dict.fromkeys(range(80), 0)
    for (true, predicted), images in cells.items():
        if true != predicted:
            errors[true] += images
            errors[predicted] += images
    assert max(errors[label] for label in range(80) if label not in order) <= min(
        errors[label] for label in order
    )


def test_classes_that_are_confused_stand_side_by_side() -> None:
    cells = {(5, 70): 9, (70, 5): 3, (5, 30): 2, (30, 11): 4, (40, 41): 1}
    order = chosen_classes(cells, 100)
    assert order[:4] == [5, 70, 30, 11]


def test_a_picture_of_a_thousand_classes_stays_small(tmp_path: Path) -> None:
    rows = tuple(Confusion(label, (7 * label) % 1000, 1 + label % 5) for label in range(1000))
    results = changed(
        run_results(tmp_path),
        class_names=tuple(f"class {label}" for label in range(1000)),
        confusions={"zero-shot": rows, "adapted": rows},
    )
    drawings = confusions(results)
    assert drawings is not None
    for _, picture, _ in drawings["pictures"]:
        assert len(picture) < 60_000
        assert "970 others" in picture
    total = sum(row.images for row in rows)
    drawn = parse(str(drawings["pictures"][0][1]))
    tips = [title.words for title in drawn.all("title")]
    assert sum(int(tip.rpartition(": ")[2].split()[0]) for tip in tips) == total


def test_a_square_says_what_it_stands_for() -> None:
    picture = parse(str(heat_map({(0, 0): 3, (0, 1): 1}, ["a", "b"], "matrix")))
    right, wrong = [*picture.all("rect")][1:]
    assert right.attributes["class"] == "right"
    assert right.words == "a → a: 3 of 4 images (75 %)"
    assert wrong.words == "a → b: 1 of 4 images (25 %)"
    assert float(right.attributes["fill-opacity"]) > float(wrong.attributes["fill-opacity"])
