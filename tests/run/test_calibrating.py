"""Calibration of a run: found without labels, saved, and used in all predictions."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import latte
from latte.interfaces import Calibration, RunRecord
from latte.results.run import open_run
from tests.helpers.records import recorded
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough


def calibration(record: RunRecord) -> Calibration:
    """Return the calibration of the model that the run uses."""
    assert record.used_model is not None and record.used_model.calibration is not None
    return record.used_model.calibration


def test_calibration_matches_expected_accuracy_and_reports_its_error(
    recipe: Path, shared_runs: SharedRuns
) -> None:
    folder = shared_runs.of().folder
    recorded_calibration = calibration(open_run(folder).record)
    assert calibration(shared_runs.of().results.record) == recorded_calibration
    assert recorded_calibration.images == 12
    assert recorded_calibration.temperature == pytest.approx(
        recorded_calibration.logit_scale / recorded_calibration.scale
    )
    assert recorded_calibration.error is not None
    assert recorded_calibration.uncalibrated_error is not None

    model = latte.load(folder, device="cpu")
    assert model.scale == recorded_calibration.scale
    confidence = [prediction.confidence for prediction in model.predict("images")]
    lowest = 1 / 3  # the lowest confidence of three classes
    expected_mean = max(recorded_calibration.expected_accuracy, lowest)
    assert sum(confidence) / len(confidence) == pytest.approx(expected_mean, abs=0.01)
    rows = list(csv.DictReader((folder / "predictions.csv").open()))
    scores = [prediction.confidence for prediction in model.predict("test")]
    assert [float(row["score_1"]) for row in rows] == pytest.approx(scores, abs=1e-5)


def test_labels_do_not_change_the_calibration_scale(recipe: Path) -> None:
    original, _, _ = run(recipe)
    (Path("test") / "red").rename(Path("test") / "tmp")
    (Path("test") / "blue").rename(Path("test") / "red")
    (Path("test") / "tmp").rename(Path("test") / "blue")
    swapped, _, _ = run(recipe, "name=other")
    original_calibration, swapped_calibration = (
        calibration(open_run(folder).record) for folder in (original, swapped)
    )
    assert original_calibration.scale == swapped_calibration.scale
    assert original_calibration.error != swapped_calibration.error


def test_calibration_error_is_unknown_without_labels(recipe: Path) -> None:
    folder, _, _ = run(recipe, "dataset.evaluation=null")
    stored_calibration = recorded(folder, "evaluate", "models", 1, "calibration")
    assert stored_calibration["error"] is None
    assert stored_calibration["scale"] > 0


def test_a_run_that_was_not_evaluated_has_the_logit_scale(recipe: Path) -> None:
    folder, _, _ = run(recipe, until="judge")
    model = latte.load(folder, device="cpu")
    assert model.calibration is None
    assert model.scale == model.adapted.logit_scale
