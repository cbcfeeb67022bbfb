"""Lists of published datasets that are not the published ones are named, whatever they hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latte.components.datasets.published.check import maker
from latte.components.datasets.published.facts import find_facts
from latte.components.datasets.published.make_split import cars, flowers
from latte.interfaces import LatteError

scipy_io = pytest.importorskip("scipy.io")


def _flowers(root: Path) -> object:
    return flowers(find_facts("flowers102"), root)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, 3], '{"1": "rose", "2": "tulip"}'),
        ([0], '{"1": "rose", "2": "tulip"}'),
        ([1], '{"1": "rose", "3": "tulip"}'),
        ([1], "[1, 2]"),
        ([1], "{broken"),
    ],
)
def test_flowers(labels: list[int], names: str, tmp_path: Path) -> None:
    scipy_io.savemat(tmp_path / "imagelabels.mat", {"labels": labels})
    (tmp_path / "cat_to_name.json").write_text(names)
    with pytest.raises(LatteError, match="is not as expected"):
        _flowers(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage" * 100, b"MATLAB 5.0 MAT-file" + bytes(105) + b"\0\1IM" + b"\xff" * 80],
)
@pytest.mark.parametrize(
    ("file", "read"), [("imagelabels.mat", _flowers), ("devkit/cars_meta.mat", cars)]
)
def test_files_that_are_no_matlab(
    content: bytes, file: str, read: Callable[[Path], Any], tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content)
    (tmp_path / "cat_to_name.json").write_text(json.dumps({"1": "rose"}))
    with pytest.raises(LatteError, match=r"\.mat: is not as expected"):
        read(tmp_path)


def test_a_split_file_that_is_no_json_has_no_maker(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text("[" * 100_000)
    with pytest.raises(LatteError, match="malformed JSON"):
        maker(tmp_path / "split.json")
