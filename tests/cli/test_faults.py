"""Errors of the machine are explained without a traceback; SIGTERM is handled like Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latte.cli.errors import Terminated, ended_by_signals
from latte.cli.main import COMMANDS, run_command_line


def on_a_full_disk() -> None:
    """Fill the disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/file")


def terminated() -> None:
    """Receive SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def hung_up() -> None:
    """Receive SIGHUP."""
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.fixture
def latte(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str], tuple[int, str]]]:
    # Tests that run under nohup inherit that SIGHUP is ignored.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for function in (on_a_full_disk, terminated, hung_up):
        monkeypatch.setitem(COMMANDS, function.__name__, f"{__name__}:{function.__name__}")

    def run(name: str) -> tuple[int, str]:
        code = run_command_line([name])
        return code, capsys.readouterr().err

    yield run
    signal.signal(signal.SIGHUP, inherited)


def test_a_full_disk_prints_no_traceback(latte: Callable[[str], tuple[int, str]]) -> None:
    code, errors = latte("on_a_full_disk")
    assert code == 2
    assert errors.startswith("error: /data/file: no space left on device\n  free some space")
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("name", "number", "word"),
    [("terminated", signal.SIGTERM, "Terminated"), ("hung_up", signal.SIGHUP, "Hung up")],
)
def test_signals_print_one_line_and_give_their_exit_code(
    name: str, number: int, word: str, latte: Callable[[str], tuple[int, str]]
) -> None:
    code, errors = latte(name)
    assert code == 128 + number
    assert errors.splitlines()[-1].startswith(f"{word}. Start the same command again")
    assert signal.getsignal(number) == signal.SIG_DFL


def test_ignored_sighup_stays_ignored(latte: Callable[[str], tuple[int, str]]) -> None:
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert latte("hung_up") == (0, "")
    finally:
        signal.signal(signal.SIGHUP, handler)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_streams_that_cannot_be_used_give_no_traceback(closed: str) -> None:
    command = f"{sys.executable} -m latte recipes {closed}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == (2 if "full" in closed else 0)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == (2 if "full" in closed else 0)


def test_ctrl_c_while_modules_are_imported_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    command = [sys.executable, "-m", "latte", "recipes"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "Interrupted.\n")


def test_a_removed_working_directory_is_refused(tmp_path: Path) -> None:
    command = f"cd {tmp_path} && rmdir {tmp_path} && {sys.executable} -m latte recipes"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: the working directory does not exist any more")


def test_the_second_sigterm_kills_the_process() -> None:
    code = """
import os, signal
from latte.cli.errors import Terminated, ended_by_signals
with ended_by_signals():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Terminated:
        os.kill(os.getpid(), signal.SIGTERM)
        print("still here")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, b"")


def test_an_existing_sigterm_handler_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[int] = []
    handler = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with ended_by_signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert (came, signals) == ([signal.SIGTERM], [])


def test_sigterm_handling_in_a_thread_does_nothing() -> None:
    entered: list[bool] = []

    def work() -> None:
        with ended_by_signals():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


def test_sigterm_is_handled_like_ctrl_c(tmp_path: Path) -> None:
    assert issubclass(Terminated, KeyboardInterrupt)
