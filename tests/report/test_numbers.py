"""Numbers carry as many digits as their sample size supports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import Interval
from latte.report.numbers import (
    count,
    duration,
    percent,
    percent_range,
    plural,
    points,
    points_range,
    size,
)


@given(st.integers(min_value=0, max_value=10**12))
def test_counts_keep_their_digits_in_groups_of_three(number: int) -> None:
    groups = count(number).split(",")
    assert "".join(groups) == str(number)
    assert all(len(group) == 3 for group in groups[1:])


@pytest.mark.parametrize(
    ("images", "text"),
    [(3, "67\u202f%"), (100, "67\u202f%"), (101, "66.7\u202f%"), (10**6, "66.7\u202f%")],
)
def test_a_decimal_needs_more_than_a_hundred_images(images: int, text: str) -> None:
    assert percent(2 / 3, images) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (0.021, "+2.1"),
        (-0.021, "−2.1"),
        (0.0, "0.0"),
        (0.0004, "0.0"),
        (-0.0004, "0.0"),
        (1.0, "+100.0"),
    ],
)
def test_points_have_a_sign_unless_they_round_to_nothing(difference: float, text: str) -> None:
    assert points(difference, 1000) == text


def test_ranges_are_as_precise_as_their_value() -> None:
    interval = Interval(0.5, -0.0123, 0.9876)
    assert percent_range(Interval(0.5, 0.4321, 0.5678), 1000) == "43.2–56.8\u202f%"
    assert percent_range(Interval(0.5, 0.4321, 0.5678), 50) == "43–57\u202f%"
    assert points_range(interval, 1000) == "−1.2 to +98.8"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_read_like_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_is_singular() -> None:
    assert (plural(1, "image"), plural(0, "image"), plural(2, "image")) == (
        "1 image",
        "0 images",
        "2 images",
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (2**20 - 1, "1 MiB"),
        (640 * 2**20, "640 MiB"),
        (2**30, "1.0 GiB"),
        (1500 * 2**30, "1,500.0 GiB"),
    ],
)
def test_sizes_have_binary_units(number: int, text: str) -> None:
    assert size(number) == text
