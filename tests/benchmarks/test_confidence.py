"""The measurement of confidence without answers compares the same folders by known formulas."""

from __future__ import annotations

import pytest
import torch

from benchmarks import confidence as measurement
from benchmarks import self_taught
from benchmarks.answer_rivals import AnsweredSet
from latte.evaluate.calibration import calibration_error
from tests.helpers.labelled_sets import labelled_set

CLASSES, IMAGES = 4, 120
PER_CLASS = IMAGES // CLASSES
SETS = [labelled_set(name, CLASSES, PER_CLASS, PER_CLASS) for name in ("first", "second")]


def problem() -> self_taught.TeachingProblem:
    nothing = torch.full((IMAGES,), -1)
    return self_taught.TeachingProblem(("first", "all names", 0), AnsweredSet(SETS[0]), nothing)


def test_errors_of_zero_shot_are_those_of_its_softmax() -> None:
    errors = measurement.errors_of(problem())
    for part, images in enumerate((SETS[0].train, SETS[0].test)):
        logits = SETS[0].logit_scale * images.features @ SETS[0].texts.T
        confidences, labels = logits.softmax(dim=1).max(dim=1)
        expected = calibration_error(confidences, labels == images.labels)
        assert errors[measurement.ZERO_SHOT][part] == pytest.approx(expected)


@pytest.mark.parametrize("is_accepted", [True, False])
def test_guard_decides_whose_error_counts(
    is_accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement.UntaughtModel, "accepted", lambda model: is_accepted)
    errors = measurement.errors_of(problem())
    used = measurement.RUN if is_accepted else measurement.ZERO_SHOT
    assert errors[measurement.GUARDED] == errors[used]
    assert errors[measurement.RUN] != errors[measurement.ZERO_SHOT]


def test_each_half_is_judged_by_the_factor_of_the_other() -> None:
    errors: measurement.MeasuredErrors = {
        (name, "kind", 0): {factor: (abs(factor - best), 0.0) for factor in measurement.FACTORS}
        for name, best in (("a", 0.2), ("b", 1.0))
    }
    chosen = measurement.chosen_factors(errors, (["a"], ["b"]), 0)
    assert chosen == {"a": 1.0, "b": 0.2}


def test_tables_have_a_row_per_method_and_factor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measurement, "load_sets", lambda options: SETS)
    measurement.main(["--draws", "1"])
    said = capsys.readouterr().out
    for name in (measurement.ZERO_SHOT, measurement.GUARDED, measurement.CHOSEN):
        assert said.count(f"| {name} |") == 2
    assert said.count("factors that the halves choose") == 2
