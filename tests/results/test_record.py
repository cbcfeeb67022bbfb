"""A record that a newer latte wrote is told apart from a damaged one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import LatteError
from latte.results.folder import RunFolder
from latte.version import __version__
from tests.helpers.made_up_runs import run_folder
from tests.helpers.records import record

NEWER = "a newer latte wrote this run folder"
UNKNOWN = {"measured_by": "somebody"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run", right=None)


@pytest.mark.parametrize(
    ("version", "place", "value", "what"),
    [
        (__version__, ("train", "fact"), 1, f"{NEWER} \\(it has `train.fact`\\)"),
        (__version__, ("stage",), UNKNOWN, f"{NEWER} \\(it has `stage`\\)"),
        ("99.0.0", ("stage",), UNKNOWN, f"{NEWER} \\(version 99.0.0\\)"),
        ("99.0.0", ("data",), "of another type", f"{NEWER} \\(version 99.0.0\\)"),
        (__version__, ("data",), "of another type", "this file is damaged"),
        ("no version", ("data",), "of another type", "this file is damaged"),
    ],
)
def test_age_and_damage_are_told_apart(
    folder: Path, version: str, place: tuple[str, ...], value: Any, what: str
) -> None:
    record(folder, ("environment", "latte"), version)
    record(folder, place, value)
    with pytest.raises(LatteError, match=what) as caught:
        RunFolder(folder).results.read()
    assert caught.value.where == str(folder / "results.json")
    assert ("--upgrade" in str(caught.value.hint)) == what.startswith(NEWER)


def test_a_record_of_another_version_that_can_be_read_is_read(folder: Path) -> None:
    record(folder, ("environment", "latte"), "99.0.0")
    assert RunFolder(folder).results.read().environment["latte"] == "99.0.0"
