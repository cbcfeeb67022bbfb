"""Waiting times before retries: exponential back-off with full jitter."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def waiting_time(attempt: int, asked_for: float | None, max_wait: float, draw: float) -> float:
    """Return the seconds to wait after `attempt` (from 0) failed; `draw` is uniform in [0, 1).

    The wait is the seconds `asked_for` by the server plus a random time of up to 2^attempt seconds,
    so that many clients do not retry at once. It is at most `max_wait`.
    """
    jitter = draw * min(max_wait, 2.0 ** min(attempt, 60))
    return min(max_wait, jitter + (asked_for or 0.0))


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds in a header `Retry-After` (a number or a date); None if unreadable."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _until(header, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
