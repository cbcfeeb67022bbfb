"""Verdicts of guards and candidates in every form of a comparison."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import LatteError
from latte.report.comparison.comparison import compare_runs, notes
from latte.report.comparison.output import as_csv, as_json, table
from latte.report.comparison.page import page
from tests.helpers.comparison_folders import run_folder
from tests.helpers.html_document import parse
from tests.helpers.records import record, recorded


def judged(folder: Path, strength: float) -> Path:
    """Give a run a verdict, and an adapted model with 660 right if its strength is below 1."""
    verdict = {"strength": strength, "reason": "so it is"}
    record(folder, ("train", "verdict"), verdict)
    if strength < 1:
        zero_shot, adapted = recorded(folder, "evaluate", "models")
        mixed = [{**json.loads(json.dumps(adapted)), "name": "mixed", "role": "mixed"}]
        adapted["classifier"]["top1"] = {"value": 0.66, "low": 0.63, "high": 0.69}
        adapted["classifier"]["classes"][0]["correct"] = 660
        adapted["classifier"]["gain"] = {"value": 0.06, "low": 0.04, "high": 0.08}
        models = [zero_shot, adapted, *(mixed if strength else [])]
        record(folder, ("evaluate", "models"), models)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """One run that adapted, one that kept zero-shot, and one without a guard."""
    for number, momentum in enumerate((0.7, 0.8, 0.9)):
        prototypes = {"use": "momentum", "momentum": momentum}
        right = (600, 600) if number == 1 else (600, 640)
        run_folder(tmp_path / f"{number}", right=right, settings={"prototypes": prototypes})
    judged(tmp_path / "0", 1)
    judged(tmp_path / "1", 0)
    return tmp_path


def test_each_row_has_the_verdict_of_its_guard(runs: Path) -> None:
    comparison = compare_runs([runs])
    verdicts = ["cannot tell", "kept zero-shot", "guard: none"]
    assert [row.verdict for row in comparison.rows] == verdicts
    lines = [line.strip() for line in table(comparison).splitlines()]
    shown = " ".join(lines)
    assert all(one in shown for one in verdicts)
    assert [row["verdict"] for row in as_json(comparison)["rows"]] == verdicts
    cells = csv.DictReader(io.StringIO(as_csv(comparison)))
    assert [row["verdict"] for row in cells if row["classifier"] == "adapted"] == verdicts
    words = parse(page(comparison)).one("tbody").words
    assert all(one in words for one in verdicts)


def test_a_rejected_model_stands_below_its_row(runs: Path) -> None:
    comparison = compare_runs([runs])
    kept = comparison.rows[1]
    assert kept.adapted is not None and kept.candidate is not None
    assert (kept.adapted.top1.mean, kept.candidate.top1.mean) == (0.6, 0.66)
    (line,) = (one for one in table(comparison).splitlines() if one.startswith("  candidate"))
    assert "66.0" in line and "+6.0 (+4.0 to +8.0)" in line
    assert any(note.startswith("Candidate: the adapted model") for note in notes(comparison))
    data = as_json(comparison)["rows"]
    assert [row["candidate"] is not None for row in data] == [False, True, False]
    assert "candidate" in parse(page(comparison)).one("tbody").words


def test_verdicts_of_several_seeds_are_counted(tmp_path: Path) -> None:
    for seed, strength in enumerate((1, 0.5, 0)):
        judged(run_folder(tmp_path / f"{seed}", settings={"seed": seed}), strength)
    (row,) = compare_runs([tmp_path]).rows
    assert row.verdict == "2 of 3 cannot tell, 1 of 3 kept zero-shot"


@pytest.mark.parametrize(
    "damage",
    [
        {"strength": 2},
        {"strength": "all"},
        {"reason": ""},
        {"signals": {"a": "b"}},
    ],
)
def test_a_damaged_verdict_is_refused(tmp_path: Path, damage: dict[str, Any]) -> None:
    folder = judged(run_folder(tmp_path / "0"), 1)
    place = ("train", "verdict")
    record(folder, place, recorded(folder, *place) | damage)
    with pytest.raises(LatteError, match="damaged"):
        compare_runs([folder])
