"""All Python blocks of docs/python.md run in order."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

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
    # Questions need the images of a real run: tests/new/test_model.py.
    code = [block for block in blocks("python") if ".ask(" not in block]
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
    printed = capsys.readouterr().out
    assert "photos/broken.jpg the file is empty" in printed
    assert f"report: {folder / 'runs/animals-1a2b3c4d/report/index.html'}" in printed
    assert "torch.Size([3, 3]) 7.5 Calibration(scale=7.5" in printed
