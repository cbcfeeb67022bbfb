"""Learning curves: simulated reviewers give true labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.folder_cells import CELL, draw
from benchmarks.folder_methods import Answers, method_called
from benchmarks.teaching import Case, _answer_next, _labels, curves
from latte.registry.registry import load_registry
from latte.review.tasks import TaskName
from tests.helpers.labelled_sets import labelled_set

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def case() -> Case:
    folder = draw(labelled_set("birds"), CELL["all names"], 0, [])
    method = method_called("transductive", load_registry())
    keys = tuple(map(str, range(len(folder.own))))
    return Case(folder, keys, method(folder), method)


@pytest.mark.parametrize("task", ["clusters", "images"])
def test_reviewers_give_true_labels(case: Case, tmp_path: Path, task: TaskName) -> None:
    review = case.review(tmp_path)
    truth = dict(zip(case.keys, case.folder.own.labels.tolist(), strict=True))
    for _ in range(3):
        _answer_next(review, task, truth)
    found = _labels(review)
    assert len(found) >= 3
    assert all(truth[key] == label for key, label in found.items())


def test_majority_names_do_not_depend_on_swapped_names(case: Case) -> None:
    names = torch.arange(len(case.folder.names)).roll(1)
    wrong = Answers(names[case.fitted.own], names[case.fitted.test])
    swapped = Case(case.folder, case.keys, wrong, case.method)
    assert swapped.majority_names() == case.majority_names()
    assert swapped.accuracy(wrong).own < case.majority_names().own


def test_every_arm_has_a_value_for_each_number_of_answers(case: Case) -> None:
    found = curves(case)
    assert {len(values) for values in found.values()} == {5}
    everything = [accuracy for values in found.values() for accuracy in values]
    assert all(0 <= accuracy.unseen <= 100 for accuracy in everything)
