"""Long tasks are shown, and short ones are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from latte.interfaces import long_task
from latte.interfaces.progress import ProgressTask, SilentProgress, SilentTask


class Recorded(SilentProgress):
    """Progress that records tasks and their advances."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        self.lines.append(f"{name}: {done} of {total} {unit}")
        recorded = self

        class Task(SilentTask):
            def advance(self, amount: int = 1, **figures: float | str) -> None:
                recorded.lines.append(f"+{amount}")

        yield Task()
        self.lines.append("end")


def test_task_is_shown_from_the_fifth_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("latte.interfaces.progress.time.monotonic", lambda: seconds[0])
    shown = Recorded()
    with long_task(shown, "search", 9, "rows") as task:
        for moment in (1.0, 4.9, 5.0, 6.0):
            seconds[0] = moment
            task.advance(2)
    assert shown.lines == ["search: 6 of 9 rows", "+2", "end"]


def test_task_that_ends_in_the_fifth_second_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 7.0])
    monkeypatch.setattr("latte.interfaces.progress.time.monotonic", lambda: next(moments))
    shown = Recorded()
    with long_task(shown, "search", 3, "rows") as task:
        task.advance(3)
    with long_task(None, "search", 3, "rows") as task:
        task.advance(3)
    assert shown.lines == []
