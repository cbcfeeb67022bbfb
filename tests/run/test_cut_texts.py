"""Texts that are longer than the text tower reads are counted, reported and shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from latte.components.phrases import PhraseDescriber
from latte.interfaces import CutTexts, DescribeRequest, LatteError
from latte.results.folder import RunFolder
from tests.helpers.records import record, recorded
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

CONTEXT = 32


def of_length(tokens: int, number: int) -> str:
    """Return a text with this number of tokens, with those of its start and end."""
    return " ".join(["red"] * (tokens - 3) + ["cat" if number else "dog"])


def test_cut_texts_are_counted_in_terminal_report_and_card(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(self: PhraseDescriber, requests: Sequence[DescribeRequest]) -> list[str]:
        return [of_length(CONTEXT + n % 3, n % 2) for n, _ in enumerate(requests)]

    monkeypatch.setattr(PhraseDescriber, "describe", describe)
    monkeypatch.setattr("latte.run.training._TEXTS_PER_COUNT", 4)
    folder, _, _ = run(recipe, until="describe")
    assert recorded(folder, "train", "cut_texts") == []
    folder, results, progress = run(recipe)
    assert results is not None
    assert results.record.train.cut_texts[0] == CutTexts("image", texts=6, cut=4)
    cut_lines = [line for line in progress.lines if "4 of 6 texts of image are longer" in line]
    assert len(cut_lines) == 1
    for page in ("report/index.html", "models/adapted/model/README.md"):
        text = " ".join((folder / page).read_text(encoding="utf-8").split())
        assert "Cut texts of image" in text
    record(folder, ("train", "cut_texts", 0, "cut"), 7)
    with pytest.raises(LatteError, match="more texts are cut than there are"):
        RunFolder(folder).results.read()


def test_nothing_is_recorded_if_all_texts_fit(shared_runs: SharedRuns) -> None:
    shared_run = shared_runs.of()
    assert shared_run.results.record.train.cut_texts == ()
    assert recorded(shared_run.folder, "train", "cut_texts") == []
    assert not any("longer than the text tower" in line for line in shared_run.lines)
