"""A clock in place of `time.monotonic` and `time.perf_counter`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Clock that only the test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the seconds on the clock."""
        return self.now
