"""The end of a classification: one screen on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.classified import Classified, Tally
from latte.evaluate.predictions import ClassScore, Prediction
from latte.report.screen import LINES, screen_lines
from latte.report.terminal import WIDTH

CLASSES = ("cat", "dog", "fox")


def classified(tmp_path: Path, labels: list[int], confidence: float = 0.9) -> Classified:
    tally = Tally(len(CLASSES))
    rows = [
        Prediction(f"{number}.jpg", (ClassScore(CLASSES[label], confidence, label),))
        for number, label in enumerate(labels)
    ]
    assert len(list(tally.count(rows))) == len(labels)
    output, skipped = tmp_path / "rows.csv", tmp_path / "rows.skipped.csv"
    warnings = ["left out 1 file"]
    return Classified(tmp_path / "run", CLASSES, output, tally, (), 2, skipped, warnings)


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    return lambda draws: monkeypatch.setattr(
        "latte.cli.classified.can_draw", lambda err: draws, raising=True
    )


def test_the_screen_has_classes_doubtful_labels_and_files(tmp_path: Path) -> None:
    lines = [
        line.plain for line in screen_lines(classified(tmp_path, [0, 0, 2, 0], 0.4).screen(), WIDTH)
    ]
    assert len(lines) <= LINES
    assert lines[0].startswith("✓ 4 photos labelled in") and lines[0].endswith("; 2 files left out")
    assert [line.split()[:2] for line in lines[3:5]] == [["cat", "3"], ["fox", "1"]]
    assert "  2 of 3 classes occur." in lines
    assert "  4 labels have a confidence below 50 %: look at these first." in lines


def test_one_doubtful_label_is_singular(tmp_path: Path) -> None:
    text = classified(tmp_path, [1], 0.2).screen().trust
    assert text.replace("\u202f", " ") == "1 label has a confidence below 50 %: look at it first."


def test_a_pipe_gets_the_same_lines_as_ever(
    tmp_path: Path, on_terminal: Callable[[bool], None], capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(False)
    classified(tmp_path, [0, 1]).print()
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        "warning: left out 1 file",
        f"images left out, with reasons: {tmp_path / 'rows.skipped.csv'}",
        "images left out: 2",
    ]
    assert lines[3].startswith("2 images in ") and lines[3].endswith("; 2 of 3 classes")
    classified(tmp_path, [0, 1]).print(quiet=True)
    assert capsys.readouterr().err.splitlines() == lines[:3]
