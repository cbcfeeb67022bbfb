"""All Python blocks of docs/python.md run in order, and its commands exist."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from latte.cli.main import run_command_line
from tests.helpers.clip_models import TINY_CLIP
from tests.helpers.exported_runs import NAMES, adapted, write_run

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with a run and photos, as on the page."""
    write_run(tmp_path / "runs" / "animals-1a2b3c4d", adapted({"main": TINY_CLIP}), scale=7.5)
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog", "owl"):
        picture = Image.effect_mandelbrot((64, 48), (-3, -2.5, 2, 2.5), 90 + len(name))
        picture.save(tmp_path / "photos" / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def test_python_blocks_run_in_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    code = blocks("python")
    assert len(code) == 6
    for number, block in enumerate(code):
        if "on_unreadable" in block:
            (folder / "photos" / "broken.jpg").write_bytes(b"")
        exec(compile(block, f"docs/python.md, block {number}", "exec"), scope)
        (folder / "photos" / "broken.jpg").unlink(missing_ok=True)
    rows = list(csv.reader((folder / "labels.csv").open(newline="")))
    assert sorted(row[0] for row in rows) == [
        f"photos/{name}.jpg" for name in ("cat", "dog", "owl")
    ]
    assert all(row[1] in NAMES for row in rows)
    said = capsys.readouterr().out
    assert "photos/broken.jpg the file is empty" in said
    assert f"report: {folder / 'runs/animals-1a2b3c4d/report/index.html'}" in said
    assert "torch.Size([3, 3]) 7.5 Calibration(scale=7.5" in said


def test_predict_commands_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    predicting = [line for line in lines if "latte predict" in line]
    assert len(predicting) == 5
    for line in predicting:
        found, _, command = line.rpartition("| ")
        if found:
            monkeypatch.setattr("sys.stdin", iter(["photos/cat.jpg\n", "photos/dog.jpg\n"]))
        assert run_command_line(shlex.split(command)[1:]) == 0, line
    assert len(Path("labels.csv").read_text().splitlines()) == 4
    assert len(Path("labels.jsonl").read_text().splitlines()) == 2
    assert capsys.readouterr().out.count('"class"') == 4


def test_export_formats_exist(capsys: pytest.CaptureFixture[str]) -> None:
    exports = re.findall(r"latte export \S+ --format ([a-z]+)", PAGE.read_text(encoding="utf-8"))
    assert run_command_line(["export", "--help"]) == 0
    said = capsys.readouterr().out
    assert {*exports} == {"transformers", "onnx"}
    assert all(name in said for name in exports)
