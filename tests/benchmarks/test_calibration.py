"""The benchmark of confidence judges each half of the sets by the constants of the other."""

from __future__ import annotations

import pytest
import torch

from benchmarks import calibration
from benchmarks.answer_rivals import AnsweredSet
from tests.benchmarks.test_answers import labelled_set


def test_left_out_answers_are_all_answers_and_their_fits_do_not_know_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = AnsweredSet(labelled_set())
    given_classes = torch.full((60,), -1)
    given_classes[:10] = answered.labelled.train.labels[:10]
    rows_of_folds: list[list[int]] = []
    fit = AnsweredSet.taught

    def noted(self: AnsweredSet, corrections: torch.Tensor) -> object:
        rows_of_folds.append((corrections >= 0).nonzero().squeeze(1).tolist())
        return fit(self, corrections)

    monkeypatch.setattr(AnsweredSet, "taught", noted)
    sample = calibration.left_out(answered, given_classes)
    assert sample is not None
    assert sorted(sample.answers.tolist()) == sorted(given_classes[:10].tolist())
    hidden = [row for fold in rows_of_folds for row in range(10) if row not in fold]
    assert sorted(hidden) == [*range(10)]
    assert calibration.left_out(answered, given_classes.where(torch.arange(60) < 5, -1)) is None


def test_excess_is_above_that_of_a_fitted_temperature() -> None:
    model = calibration.taught(labelled_set(), "10 random", 0)
    exponent, scale = model.calibrated((0.4, 0.7))
    errors, least = model.errors(exponent, scale), model.least
    assert len(model.posterior.labels) == 50
    assert all(0 <= error <= 1 for error in (*errors, *least))
    assert (
        min(error - best for error, best in zip(model.errors(50.0, 50.0), least, strict=True))
        > -0.1
    )


def test_each_half_is_judged_by_the_prior_of_the_other() -> None:
    priors = [*calibration.product(calibration.GROWTHS, calibration.SPREADS)]
    best = {"a": priors[3], "b": priors[8], "c": priors[3], "d": priors[8]}
    excesses = {
        name: {"10 random": [{prior: (float(prior != best_prior),) * 2 for prior in priors}]}
        for name, best_prior in best.items()
    }
    assert calibration.judged(excesses) == {
        "a": priors[8],
        "b": priors[3],
        "c": priors[8],
        "d": priors[3],
    }
