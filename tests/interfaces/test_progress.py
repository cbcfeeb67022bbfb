"""Long tasks are shown, and short ones are not."""

from __future__ import annotations

import pytest

from latte.interfaces import long_task
from tests.helpers.recorded import RecordedProgress


def test_task_is_shown_from_the_fifth_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("latte.interfaces.progress.time.monotonic", lambda: seconds[0])
    shown = RecordedProgress()
    with long_task(shown, "search", 9, "rows") as task:
        for moment in (1.0, 4.9, 5.0):
            assert shown.tasks == []
            seconds[0] = moment
            task.advance(2)
        (search,) = shown.tasks
        assert (search.name, search.total, search.unit) == ("search", 9, "rows")
        assert (search.done, search.closed) == (6, False)
        task.advance(2)
    assert shown.tasks == [search]
    assert (search.done, search.closed) == (8, True)


def test_task_that_ends_in_the_fifth_second_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 7.0])
    monkeypatch.setattr("latte.interfaces.progress.time.monotonic", lambda: next(moments))
    shown = RecordedProgress()
    with long_task(shown, "search", 3, "rows") as task:
        task.advance(3)
    with long_task(None, "search", 3, "rows") as task:
        task.advance(3)
    assert shown.tasks == []
