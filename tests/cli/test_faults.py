"""What the machine does to a command is told in plain words, and SIGTERM ends it like Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from latte.cli.errors import Terminated, ended_by_sigterm, machine_error
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
def test_refusals_of_the_system_name_the_file_and_what_to_do(error: OSError, what: str) -> None:
    found = machine_error(error)
    assert found is not None
    assert (found.what, found.where) == (what, "/data/file")
    assert found.hint


def test_a_temporary_file_is_named_by_its_folder() -> None:
    found = machine_error(full("/data/runs/.state.json.12-ab.tmp"))
    assert found is not None
    assert found.where == "/data/runs"


def test_safetensors_says_it_in_words_of_its_own() -> None:
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    found = machine_error(SafetensorError(said))
    assert found is not None
    assert found.what == "no space left on device"


def test_what_the_error_came_from_counts() -> None:
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
def test_lack_of_memory_names_the_keys_to_lower(error: BaseException) -> None:
    found = machine_error(error)
    assert found is not None
    assert "evaluate.batch_size" in str(found)


def test_an_environment_without_torch_is_told_what_to_install() -> None:
    found = machine_error(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert found is not None
    assert "pip install torch" in str(found)
    assert machine_error(ModuleNotFoundError("No module", name="elsewhere")) is None


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "", "x"), RuntimeError("a slip"), ValueError()]
)
def test_everything_else_is_a_bug(error: BaseException) -> None:
    assert machine_error(error) is None


def test_errors_that_came_from_each_other_end_the_search() -> None:
    first, second = RuntimeError("one"), RuntimeError("two")
    first.__cause__, second.__cause__ = second, first
    assert machine_error(first) is None


def on_a_full_disk() -> None:
    """Fill the disk."""
    raise full()


def terminated() -> None:
    """Be told to end."""
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def latte(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    for function in (on_a_full_disk, terminated):
        monkeypatch.setitem(COMMANDS, function.__name__, f"{__name__}:{function.__name__}")

    def run(name: str) -> tuple[int, str]:
        code = run_command_line([name])
        return code, capsys.readouterr().err

    return run


def test_a_full_disk_is_no_bug(latte: Callable[[str], tuple[int, str]]) -> None:
    code, said = latte("on_a_full_disk")
    assert code == 2
    assert said.startswith("error: /data/file: no space left on device\n  free some space")
    assert "Traceback" not in said


def test_sigterm_ends_with_one_line_and_its_own_code(
    latte: Callable[[str], tuple[int, str]],
) -> None:
    code, said = latte("terminated")
    assert code == 128 + signal.SIGTERM
    assert said.splitlines()[-1].startswith("Terminated. Start a run again")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_second_sigterm_ends_at_once() -> None:
    code = """
import os, signal
from latte.cli.errors import Terminated, ended_by_sigterm
with ended_by_sigterm():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Terminated:
        os.kill(os.getpid(), signal.SIGTERM)
        print("still here")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, b"")


def test_a_handler_that_somebody_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with ended_by_sigterm() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (came, signals) == ([signal.SIGTERM], [])


def test_a_thread_that_gets_no_signals_may_use_it_too() -> None:
    entered: list[bool] = []

    def work() -> None:
        with ended_by_sigterm():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


def test_sigterm_is_a_kind_of_ctrl_c(tmp_path: Path) -> None:
    assert issubclass(Terminated, KeyboardInterrupt)
