"""Files are written atomically, with the process's default permissions."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import zeros

from latte.interfaces import LatteError
from latte.io.files import (
    digest,
    remove_leftovers,
    rescue_leftover,
    temporary_beside,
    write_atomically,
    write_text,
)
from latte.io.machine import machine_error


def test_failed_atomic_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), write_atomically(path) as temporary:
        temporary.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_write_gives_default_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with write_atomically(tmp_path / "tensors.safetensors") as temporary:
        save_file({"zeros": zeros(2)}, temporary)
    assert (tmp_path / "tensors.safetensors").stat().st_mode == plain.stat().st_mode


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_digests_differ_where_the_parts_differ(texts: list[str], other_texts: list[str]) -> None:
    assert (digest(*texts) == digest(*other_texts)) == (texts == other_texts)


def temporary_of(process: int, path: Path) -> Path:
    """Temporary name as process number `process` of this machine chooses it."""
    name = temporary_beside(path).name.replace(f"-{os.getpid()}-", f"-{process}-")
    return path.with_name(name)


@pytest.fixture
def ended() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_ended_processes_are_removed_by_the_next_write(
    tmp_path: Path, ended: int
) -> None:
    file, folder = temporary_of(ended, tmp_path / "a\nb"), temporary_of(ended, tmp_path / "folder")
    file.touch()
    (folder / "inner").mkdir(parents=True)
    files_kept = [
        temporary_of(1, tmp_path / "a"),
        tmp_path / ".other.1-ab.tmp",
        tmp_path / "own.tmp",
    ]
    for path in files_kept:
        path.touch()
    write_text(tmp_path / "new.txt", "new")
    assert set(tmp_path.iterdir()) == {*files_kept, tmp_path / "new.txt"}


def test_leftovers_of_other_machines_are_removed_after_a_day(tmp_path: Path) -> None:
    names = [f".a.txt.latte-othermachine-{number}-0123abcd.tmp" for number in (1, 99_999_999)]
    old, young = (tmp_path / name for name in names)
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [young]
    remove_leftovers(tmp_path, locked=True)
    assert list(tmp_path.iterdir()) == []


def test_killed_write_leaves_a_file_that_the_next_write_removes(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from latte.io.files import write_atomically
with write_atomically(Path({str(tmp_path / "a.txt")!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_text(tmp_path / "b.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_larger_file_of_a_killed_write_is_rescued(tmp_path: Path, ended: int) -> None:
    path = tmp_path / "rows.partial"
    killed, living = temporary_of(ended, path), temporary_of(1, path)
    for text, expected in (
        ("two rows", "two rows"),
        ("row", "two rows"),
        ("3 rows ...", "3 rows ..."),
    ):
        killed.write_text(text)
        living.write_text("rows of a process that still writes")
        rescue_leftover(path)
        assert path.read_text() == expected
        assert living.exists()


def test_two_writers_of_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with write_atomically(path) as longer_file:
        longer_file.write_text("first" * 1000)
        with write_atomically(path) as shorter_file:
            shorter_file.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first" * 1000
    assert list(tmp_path.iterdir()) == [path]


def test_pipes_and_devices_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(LatteError, match="a device or a pipe"):
            write_text(path, "text")
    assert not Path("/dev/null").is_file()


def test_a_temporary_file_of_a_living_process_is_never_removed(tmp_path: Path) -> None:
    temporary = temporary_beside(tmp_path / "rows.csv")
    temporary.write_text("kept")
    old = time.time() - 3 * 86_400
    os.utime(temporary, (old, old))
    remove_leftovers(tmp_path)
    assert temporary.read_text() == "kept"


def on_full_disk(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "error", [on_full_disk(errno.ENOSPC), SafetensorError("I/O error (os error 28)")]
)
def test_error_of_a_full_disk_names_the_file(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, write_atomically(tmp_path / "model"):
        raise error
    latte_error = machine_error(caught.value)
    assert latte_error is not None
    assert (latte_error.what, latte_error.where) == ("no space left on device", str(tmp_path))


def test_other_errors_name_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Broken pipe") as caught, write_atomically(tmp_path / "x"):
        raise on_full_disk(errno.EPIPE)
    assert caught.value.filename is None
