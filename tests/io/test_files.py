"""Files are written atomically, with the process's default permissions."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import zeros

from latte.io.files import digest, remove_leftovers, write_atomically, write_text


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
def test_digests_differ_where_the_parts_differ(first: list[str], second: list[str]) -> None:
    assert (digest(*first) == digest(*second)) == (first == second)


def test_remove_leftovers_removes_only_old_temporary_files(
    tmp_path: Path,
) -> None:
    for name in (".old.txt.1-aa.tmp", ".young.txt.2-bb.tmp", "own.tmp", "file.txt"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".old.txt.1-aa.tmp", (0, 0))
    (tmp_path / ".folder.tmp").mkdir()
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".young.txt.2-bb.tmp", "own.tmp", "file.txt", ".folder.tmp"}
    remove_leftovers(tmp_path, older_than=-math.inf)
    assert ".young.txt.2-bb.tmp" not in {path.name for path in tmp_path.iterdir()}
