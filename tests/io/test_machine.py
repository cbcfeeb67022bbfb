"""Errors of the machine are explained with a fix; bugs stay as they are."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from latte.interfaces import LatteError
from latte.io.machine import machine_error, machine_errors


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
    latte_error = machine_error(error)
    assert latte_error is not None
    assert (latte_error.what, latte_error.where) == (what, "/data/file")
    assert latte_error.hint


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
    latte_error = machine_error(error)
    assert latte_error is not None
    assert "evaluate.batch_size" in str(latte_error)


def test_missing_torch_names_the_install_command() -> None:
    latte_error = machine_error(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert latte_error is not None
    assert "pip install torch" in str(latte_error)
    assert machine_error(ModuleNotFoundError("No module", name="elsewhere")) is None


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "", "x"), RuntimeError("a slip"), ValueError()]
)
def test_other_errors_are_bugs(error: BaseException) -> None:
    assert machine_error(error) is None


def test_circular_causes_are_examined_once() -> None:
    error, cause = RuntimeError("one"), RuntimeError("two")
    error.__cause__, cause.__cause__ = cause, error
    assert machine_error(error) is None


def test_python_calls_raise_readable_errors_of_the_machine_and_bugs_unchanged() -> None:
    with pytest.raises(LatteError, match="no space left") as caught, machine_errors():
        raise full()
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ZeroDivisionError), machine_errors():
        raise ZeroDivisionError
