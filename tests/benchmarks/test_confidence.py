"""The measurement of confidence without answers compares the same folders by known formulas."""

from __future__ import annotations

import pytest
import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from torch.nn.functional import normalize

from benchmarks import confidence as measurement
from benchmarks import self_taught
from benchmarks.answer_rivals import AnsweredSet
from latte.evaluate.calibration import calibration_error

WIDTH, CLASSES, IMAGES = 24, 4, 120


def toy(name: str, seed: int) -> LabelledSet:
    generator = torch.Generator().manual_seed(seed)
    texts = normalize(torch.randn(CLASSES, WIDTH, generator=generator), dim=1)
    labels = torch.arange(IMAGES) % CLASSES
    train, test = (
        LabelledImages(
            normalize(texts[labels] + 0.3 * torch.randn(IMAGES, WIDTH, generator=generator), dim=1),
            labels,
        )
        for _ in range(2)
    )
    names = tuple(f"{name} {label}" for label in range(CLASSES))
    return LabelledSet(name, name, names, texts, 25.0, train, test, lambda names: texts)


SETS = [toy("first", 1), toy("second", 2)]


def problem() -> self_taught.TeachingProblem:
    nothing = torch.full((IMAGES,), -1)
    return self_taught.TeachingProblem(("first", "all names", 0), AnsweredSet(SETS[0]), nothing)


def test_errors_of_zero_shot_are_those_of_its_softmax() -> None:
    errors = measurement.errors_of(problem())
    for part, images in enumerate((SETS[0].train, SETS[0].test)):
        confidences, labels = (25 * images.features @ SETS[0].texts.T).softmax(dim=1).max(dim=1)
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
