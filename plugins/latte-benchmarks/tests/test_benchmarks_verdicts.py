"""Verdicts of guards, rejected models, and marks of a person's answers, beside a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from benchmark_pages import parse
from benchmark_runs import record, recorded, run_folder, set_model
from latte_benchmarks.comparison import compare_folders, notes
from latte_benchmarks.page import as_page
from latte_benchmarks.table import COMPARED, as_csv, as_latex, as_text

from latte.api import LatteError

OUTCOMES = ("cannot tell", "kept zero-shot")


def judged(folder: Path, strength: float) -> Path:
    """Give a run a verdict, and an adapted model with 660 right if its strength is below 1."""
    record(folder, ("judge", "verdict"), {"strength": strength, "reason": "so it is"})
    if strength < 1:
        set_model(folder, "adapted", 660)
        if strength:
            set_model(folder, "mixed", 640)
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


def test_verdicts_are_in_a_note_and_in_the_csv_but_in_no_table(runs: Path) -> None:
    comparison = compare_folders([runs])
    note = (
        "Verdicts of guards: animals momentum=0.7: cannot tell; "
        "animals momentum=0.8: kept zero-shot."
    )
    assert note in notes(comparison)
    cells = csv.DictReader(io.StringIO(as_csv(comparison)))
    assert [row["verdict"] for row in cells if row["model"] == "adapted"] == [*OUTCOMES, ""]
    latex = [line for line in as_latex(comparison).splitlines() if not line.startswith("%")]
    for text in (as_text(comparison, COMPARED), latex):
        assert not any(outcome in line for line in text for outcome in OUTCOMES)
    assert note in parse(as_page(comparison)).by_id("notes").words


def test_a_rejected_model_stands_below_its_row(runs: Path) -> None:
    comparison = compare_folders([runs])
    adapted, rejected = comparison.rows[1:3]
    assert (adapted.model, rejected.model) == ("adapted", "adapted in full")
    assert adapted.result is not None and rejected.result is not None
    assert (adapted.result.top1.mean, rejected.result.top1.mean) == (0.6, 0.66)
    (line,) = (
        line for line in as_text(comparison, COMPARED) if line.startswith("  adapted in full")
    )
    assert "66.0" in line and "+6.0 (+4.0 to +8.0)" in line
    assert any(note.startswith("adapted in full: the adapted model") for note in notes(comparison))
    assert "adapted in full" in parse(as_page(comparison)).all("tbody")[0].words
    assert "66.0" not in as_latex(comparison)


def test_own_images_are_counted_in_their_row(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "0")
    (folder / "data" / "evaluation.jsonl").write_text("".join(f"{n}\n" for n in range(2000)))
    for model in (0, 1):
        place = ("evaluate", "models", model)
        record(folder, (*place, "own_images"), recorded(folder, *place, "classifier"))
    comparison = compare_folders([folder])
    assert [(row.model, row.images) for row in comparison.rows] == [
        ("adapted", 1000),
        ("adapted, own images", 1000),
    ]
    assert any(note.startswith("adapted, own images: labels") for note in notes(comparison))


def test_verdicts_of_several_seeds_are_counted(tmp_path: Path) -> None:
    for seed, strength in enumerate((1, 0.5, 0)):
        judged(run_folder(tmp_path / f"{seed}", settings={"seed": seed}), strength)
    verdicts = "animals: 2 of 3 cannot tell; animals: 1 of 3 kept zero-shot."
    assert f"Verdicts of guards: {verdicts}" in notes(compare_folders([tmp_path]))


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
    place = ("judge", "verdict")
    record(folder, place, recorded(folder, *place) | damage)
    with pytest.raises(LatteError, match="damaged"):
        compare_folders([folder])
