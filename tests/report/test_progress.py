"""Progress as plain lines and as bars."""

import io
import re
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from latte.interfaces.progress import SilentProgress
from latte.report.progress import (
    PlainProgress,
    RichProgress,
    make_progress,
    three_digits,
)
from tests.helpers.clock import Clock

CURSOR_UP = "\x1b[1A"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()


class TestPlain:
    def test_a_short_task_is_one_line(self, stream: io.StringIO, clock: Clock) -> None:
        with PlainProgress(stream, clock).task("describe", total=4, unit="images") as task:
            for _ in range(4):
                clock.now += 0.5
                task.advance()
        assert stream.getvalue().splitlines() == [
            "describe: 4 images in 2.0 s (2 images/s)",
        ]

    def test_a_long_task_prints_a_line_every_ten_seconds(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with PlainProgress(stream, clock).task("train", total=30, unit="steps") as task:
            for step in range(30):
                clock.now += 1
                task.advance(loss=2.0 / (step + 1), phase="warm")
        assert stream.getvalue().splitlines()[:-1] == [
            "train: 10/30 steps, 1 steps/s, 20 s left, loss=0.2, phase=warm",
            "train: 20/30 steps, 1 steps/s, 10 s left, loss=0.1, phase=warm",
        ]

    def test_counts_such_as_tokens_are_shown_beside_rate_and_time_left(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with PlainProgress(stream, clock).task("describe", total=100, unit="texts") as task:
            clock.now += 20
            task.advance(40, tokens=1_234_567, refused=2)
        assert stream.getvalue().splitlines()[0] == (
            "describe: 40/100 texts, 2 texts/s, 30 s left, tokens=1,234,567, refused=2"
        )

    def test_what_was_done_earlier_counts_in_the_total_but_not_in_the_rate(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        with PlainProgress(stream, clock).task("train", total=10, unit="steps", done=8) as task:
            clock.now += 4
            task.advance(2)
        assert stream.getvalue().splitlines() == [
            "train: 10 steps in 4.0 s (0.5 steps/s)",
        ]

    def test_a_failed_task_prints_where_it_stopped(self, stream: io.StringIO, clock: Clock) -> None:
        progress = PlainProgress(stream, clock)
        with (
            pytest.raises(KeyboardInterrupt),
            progress.task("train", total=10, unit="steps") as task,
        ):
            clock.now += 1
            task.advance(3)
            raise KeyboardInterrupt
        assert stream.getvalue().splitlines()[-1] == (
            "train: stopped at 3/10 steps in 1.0 s (3 steps/s)"
        )

    def test_a_task_shorter_than_asked_for_prints_nothing(
        self, stream: io.StringIO, clock: Clock
    ) -> None:
        for seconds in (1, 3):
            with PlainProgress(stream, clock, after=2).task("predict", 9, "images") as task:
                clock.now += seconds
                task.advance(9)
        assert stream.getvalue() == "predict: 9 images in 3.0 s (3 images/s)\n"

    def test_an_empty_task_prints_nothing(self, stream: io.StringIO, clock: Clock) -> None:
        with PlainProgress(stream, clock).task("describe", total=0, unit="images"):
            pass
        assert stream.getvalue() == ""


class TestRich:
    @pytest.fixture
    def progress(self, stream: io.StringIO) -> RichProgress:
        return RichProgress(Console(file=stream, force_terminal=True, width=120, color_system=None))

    def test_an_empty_task_has_no_bar(self, progress: RichProgress, stream: io.StringIO) -> None:
        with progress.task("describe", total=0, unit="images"):
            pass
        assert "describe" not in stream.getvalue()

    def test_a_bar_shows_name_count_unit_rate_and_figures(
        self, progress: RichProgress, stream: io.StringIO
    ) -> None:
        with progress.task("train", total=3, unit="steps") as task:
            progress.say("features are [reused]")
            for _ in range(3):
                task.advance(loss=0.123456)
        lines = shown(stream)
        assert "features are [reused]" in lines
        assert all(part in lines[-1] for part in ("train", "3 steps", "steps/s", "loss=0.1235"))

    def test_a_task_shorter_than_asked_for_has_no_bar(self, stream: io.StringIO) -> None:
        console = Console(file=stream, force_terminal=True, width=120, color_system=None)
        progress = RichProgress(console, after=0.2)
        with progress.task("short", total=1, unit="images") as task:
            task.advance()
        assert "short" not in stream.getvalue()
        with progress.task("long", total=1, unit="images") as task:
            time.sleep(0.4)
            task.advance()
        assert "1 images" in shown(stream)[-1]

    def test_tasks_may_follow_and_contain_each_other(
        self, progress: RichProgress, stream: io.StringIO
    ) -> None:
        with progress.task("outer", total=1, unit="rounds") as outer:
            with progress.task("inner", total=2, unit="steps", done=1) as inner:
                inner.advance()
            outer.advance()
        with progress.task("later", total=1, unit="files") as later:
            later.advance()
        finished, _, later_output = stream.getvalue().partition("later")
        assert " 1 rounds" in finished
        assert " 2 steps" in finished
        assert " 1 files" in later_output
        assert CURSOR_UP not in later_output, "a later bar overwrites earlier ones"


def shown(stream: io.StringIO) -> list[str]:
    """Return the final lines on the screen, without control sequences and overwritten text."""
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", stream.getvalue())
    return [line.rpartition("\r")[2] for line in text.splitlines() if line]


class TestChoice:
    def test_stderr_that_is_no_terminal_gets_plain_lines(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        progress = make_progress()
        assert isinstance(progress, PlainProgress)
        progress.say("reused")
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", "reused\n")

    def test_a_terminal_gets_bars_but_not_in_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("CI", raising=False)
        assert isinstance(make_progress(), RichProgress)
        monkeypatch.setenv("CI", "true")
        assert isinstance(make_progress(), PlainProgress)

    def test_quiet_is_silent(self, capsys: pytest.CaptureFixture[str]) -> None:
        progress = make_progress(quiet=True)
        assert isinstance(progress, SilentProgress)
        with progress.task("train", total=1, unit="steps") as task:
            task.advance(loss=1.0)
        progress.say("anything")
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("rate", "words"), [(0.01234, "0.0123"), (1.0, "1"), (99.96, "100"), (136000.4, "136,000")]
)
def test_rates_have_three_digits_and_no_exponent(rate: float, words: str) -> None:
    assert three_digits(rate) == words
