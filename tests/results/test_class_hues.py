"""Colours of classes: few have one each, of many the seven largest, and a class keeps its own."""

from __future__ import annotations

from latte.results.class_hues import HUES, class_hues


def test_up_to_eight_classes_have_a_colour_each_in_the_order_of_the_list() -> None:
    hues = class_hues([2, 0, 1])
    assert [hues[label] for label in range(3)] == [*HUES[:3]]
    assert len({*class_hues([*range(8)]).values()}) == 8


def test_of_more_classes_the_seven_largest_have_a_colour() -> None:
    hues = class_hues([*reversed(range(9))])
    assert [label for label, hue in hues.items() if hue != "kx"] == [8, 7, 6, 5, 4, 3, 2]


def test_a_class_keeps_its_colour_while_it_is_among_the_largest() -> None:
    before = class_hues([*range(9)])
    hues = class_hues([8, 6, 5, 4, 3, 2, 1, 0, 7], before)
    assert {label: hues[label] for label in range(1, 7)} == {
        label: before[label] for label in range(1, 7)
    }
    assert (hues[8], hues[0]) == (before[0], "kx")
