"""The measurement of "none of these" draws answers about both kinds of images, and new ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from latte_benchmarks.folder_cells import CELL, NO_CLASS, draw
from torch import Tensor

from benchmarks import no_class as measurement
from tests.helpers.labelled_sets import labelled_set

CLASSES = 4
IMAGES = 160
PER_CLASS = IMAGES // CLASSES
SETS = [labelled_set(name, CLASSES, PER_CLASS, PER_CLASS) for name in ("first", "second")]


def test_answers_are_true_and_about_both_kinds_of_images() -> None:
    folder = draw(SETS[0], CELL[measurement.CELLS[1]], 0, SETS)
    given = measurement.answers(folder, 5, torch.Generator().manual_seed(0))
    is_none = given == CLASSES
    assert int(is_none.sum()) == 5
    assert {*folder.own.labels[is_none].tolist()} == {NO_CLASS}
    named = (given >= 0) & ~is_none
    assert int(named.sum()) == measurement.ANSWERS - 5
    assert torch.equal(given[named], folder.own.labels[named])


def test_clear_foreign_images_are_told_apart_in_the_folder_and_among_new_images() -> None:
    (scores, _) = measurement.scores_by_set(SETS, measurement.CELLS[1], 5, 1)
    assert {*scores} == {"own", "new"}
    for (draw_scores,) in scores.values():
        assert draw_scores.auroc > 0.9
        named, foreign = draw_scores.called_none()
        assert named < 0.1 < foreign


def test_new_foreign_images_are_not_those_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Tensor] = []
    original = measurement.measured

    def noted(folder: object, foreign: Tensor, *others: object) -> object:
        given.append(foreign)
        return original(folder, foreign, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(measurement, "measured", noted)
    [*measurement.scores_by_set(SETS, measurement.CELLS[0], 3, 1)]
    assert torch.equal(given[0], SETS[1].test.features)
    assert torch.equal(given[1], SETS[0].test.features)


def test_table_has_a_row_per_folder_answers_and_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [replace(labelled) for labelled in SETS]
    monkeypatch.setattr(measurement, "load_sets", lambda options: sets)
    measurement.main(["--draws", "1"])
    said = capsys.readouterr().out
    assert said.count("% of no class, ") == 2 * len(measurement.NONE_ANSWERS) * 2
