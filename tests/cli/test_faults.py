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
import torch
from safetensors import SafetensorError

from latte.cli.errors import Terminated, ended_by_signals, machine_error
from latte.cli.main import COMMANDS, run_command_line


def full(path: str | None = "/data/file") -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (full(), "no space left on device"),
        (OSError(errno.EROFS, "", "/data/file"), "read-only file system"),
        (PermissionError(errno.EACCES, "", "/data/file"), "permission denied"),
        (OSError(errno.EMFILE, "", "/data/file"), "too many open files"),
    ],
)
def test_system_errors_name_the_file_and_a_fix(error: OSError, what: str) -> None:
    found = machine_error(error)
    assert found is not None
    assert (found.what, found.where) == (what, "/data/file")
    assert found.hint


def test_a_temporary_file_is_named_by_its_folder() -> None:
    found = machine_error(full("/data/runs/.state.json.12-ab.tmp"))
    assert found is not None
    assert found.where == "/data/runs"


def test_a_safetensors_error_has_its_error_number_in_its_message() -> None:
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    found = machine_error(SafetensorError(said))
    assert found is not None
    assert found.what == "no space left on device"


def test_the_cause_of_an_error_is_examined() -> None:
    outer = RuntimeError("cannot save")
    outer.__cause__ = full()
    assert machine_error(outer) is not None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
    ],
)
def test_out_of_memory_names_the_keys_to_lower(error: BaseException) -> None:
    found = machine_error(error)
    assert found is not None
    assert "evaluate.batch_size" in str(found)


def test_missing_torch_names_the_install_command() -> None:
    found = machine_error(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert found is not None
    assert "pip install torch" in str(found)
    assert machine_error(ModuleNotFoundError("No module", name="elsewhere")) is None


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "", "x"), RuntimeError("a slip"), ValueError()]
)
def test_other_errors_are_bugs(error: BaseException) -> None:
    assert machine_error(error) is None


def test_circular_causes_are_examined_once() -> None:
    first, second = RuntimeError("one"), RuntimeError("two")
    first.__cause__, second.__cause__ = second, first
    assert machine_error(first) is None


def on_a_full_disk() -> None:
    """Fill the disk."""
    raise full()


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
    code, said = latte("on_a_full_disk")
    assert code == 2
    assert said.startswith("error: /data/file: no space left on device\n  free some space")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "number", "word"),
    [("terminated", signal.SIGTERM, "Terminated"), ("hung_up", signal.SIGHUP, "Hung up")],
)
def test_signals_print_one_line_and_give_their_exit_code(
    name: str, number: int, word: str, latte: Callable[[str], tuple[int, str]]
) -> None:
    code, said = latte(name)
    assert code == 128 + number
    assert said.splitlines()[-1].startswith(f"{word}. Start the same command again")
    assert signal.getsignal(number) == signal.SIG_DFL


def test_ignored_sighup_stays_ignored(latte: Callable[[str], tuple[int, str]]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert latte("hung_up") == (0, "")
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_streams_that_cannot_be_used_give_no_traceback(closed: str) -> None:
    command = f"{sys.executable} -m latte recipes {closed}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == (2 if "full" in closed else 0)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == (2 if "full" in closed else 0)


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
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with ended_by_signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
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
