"""Control characters in untrusted text never reach the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.text import Text

from latte import cli
from latte.cli.errors import print_error, print_unexpected
from latte.evaluate.predictions import ClassScore, Prediction, stream_predictions
from latte.interfaces import LatteError
from latte.report.output import SafeStream, echo, print_json, results, rows_stream
from latte.report.progress import PlainProgress, RichProgress, make_progress
from latte.report.terminal import SafeConsole

HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\re\x08f\u202eg\u2066h\x7f"
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

ECHOED = "a\ufffd]0;owned"


def fail(text: str) -> None:
    raise ValueError(text)


def unexpected(text: str) -> None:
    try:
        fail(text)
    except ValueError as error:
        print_unexpected(error)


@pytest.mark.parametrize(
    "say",
    [
        echo,
        lambda text: echo(text, err=True),
        lambda text: results().print(Text(text)),
        lambda text: print_error(LatteError(text, where=text, hint=text)),
        unexpected,
        lambda text: PlainProgress(sys.stderr).say(text),
        lambda text: make_progress().say(text),
    ],
)
def test_lines_escape_control_characters(
    say: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    say(HOSTILE)
    shown = "".join(capsys.readouterr())
    assert ECHOED in shown
    assert not COMMANDS.search(shown)


def test_progress_bars_escape_control_characters() -> None:
    screen = io.StringIO()
    progress = RichProgress(SafeConsole(file=screen, force_terminal=True, width=200))
    with progress.task(HOSTILE, 1, HOSTILE) as task:
        task.advance(loss=HOSTILE)
        progress.say(HOSTILE)
    shown = screen.getvalue()
    assert ECHOED in shown
    for ours in (r"\x1b\[[0-9;?]*[mKAhlJH]", r"\r"):
        shown = re.sub(ours, "", shown)
    assert "owned" in shown
    assert not COMMANDS.search(shown)


def test_json_escapes_control_characters_losslessly(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({HOSTILE: HOSTILE})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {HOSTILE: HOSTILE}
    assert not COMMANDS.search(shown)


def test_rows_in_a_pipe_are_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Prediction("a.jpg", (ClassScore(HOSTILE, 1.0, 0),))]
    stream_predictions(rows_stream(), rows, "csv")
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row["class_1"] == HOSTILE


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_on_a_terminal_have_no_control_characters(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    rows = [Prediction(HOSTILE, (ClassScore(HOSTILE, 1.0, 0),))]
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        stream = rows_stream()
        assert isinstance(stream, SafeStream)
        stream_predictions(stream, rows, "csv" if form == "csv" else "jsonl")
        terminal.flush()
        shown = ""
        while "h\ufffd" not in shown and "h\\u" not in shown:
            shown += os.read(master, 10_000).decode()
    os.close(master)
    assert "owned" in shown
    assert not COMMANDS.search(shown.replace("\r\n", "\n"))


def test_commands_print_only_through_latte_report_output() -> None:
    """`typer.echo` and rich's own console do not escape control characters."""
    others = [*Path(cli.__file__).parent.glob("*.py")]
    assert len(others) > 10
    ways = re.compile(r"typer\.echo|[^e]Console\(|print_exception|sys\.stdout\.write")
    assert [path.name for path in others if ways.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(("terminal", "shown"), [("xterm", b"\x1b[1ma\x1b[0m"), ("dumb", b"a")])
def test_bold_needs_a_terminal_that_can(terminal: str, shown: bytes) -> None:
    program = "from latte.report.output import echo; echo('a', bold=True)"
    environment = {**os.environ, "TERM": terminal}
    reader, writer = pty.openpty()
    subprocess.run([sys.executable, "-c", program], stdout=writer, check=True, env=environment)
    os.close(writer)
    assert os.read(reader, 100).strip() == shown
    os.close(reader)


def test_bold_text_escapes_control_characters_and_is_plain_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    echo("bold", bold=True)
    echo(HOSTILE, bold=True)
    first_line, second_line = capsys.readouterr().out.splitlines()[:2]
    assert first_line == "bold"
    assert second_line.startswith(ECHOED)
