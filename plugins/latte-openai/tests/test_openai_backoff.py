"""Back-off: random, growing, bounded, and at least as long as `Retry-After`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latte_openai.backoff import retry_after, waiting_time

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS = st.floats(0, 1e6)
DRAWS = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 10_000), st.none() | SECONDS, SECONDS, DRAWS)
def test_wait_is_at_most_max_wait(
    attempt: int, asked_for: float | None, max_wait: float, draw: float
) -> None:
    assert 0 <= waiting_time(attempt, asked_for, max_wait, draw) <= max_wait


@given(st.integers(0, 20), SECONDS, SECONDS, DRAWS)
def test_wait_is_at_least_retry_after(
    attempt: int, asked_for: float, max_wait: float, draw: float
) -> None:
    assert waiting_time(attempt, asked_for, max_wait, draw) >= min(asked_for, max_wait)


def test_the_bound_of_the_jitter_doubles_with_each_attempt() -> None:
    waits = [waiting_time(attempt, None, 60.0, 0.5) for attempt in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_the_jitter_is_full() -> None:
    assert waiting_time(5, None, 60.0, 0.0) == 0
    assert waiting_time(5, 3.0, 60.0, 0.0) == 3


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 0.5 ", 0.5),
        ("-3", 0),
        (None, None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("Sun, 99 Foo 2026", None),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.integers(0, 10**6), st.integers(-12, 12))
def test_retry_after_dates_of_any_time_zone(seconds: int, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    header = format_datetime((NOW + timedelta(seconds=seconds)).astimezone(zone))
    assert retry_after(header, NOW) == seconds


@given(st.text())
def test_retry_after_accepts_any_text(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or found >= 0
