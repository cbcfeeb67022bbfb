"""How labels spread and change."""

from __future__ import annotations

import pytest
import torch

from latte.diagnose.labels import balance_measures, change_measures


def values(labels: list[int], classes: int) -> dict[str, float]:
    found = balance_measures(torch.tensor(labels), classes)
    return {one.measure.key: one.value for one in found}


def test_labels_that_are_spread_evenly() -> None:
    found = values([0, 1, 2, 3, 0, 1, 2, 3], 4)
    assert found == {"balance": pytest.approx(1.0), "empty_classes": 0, "largest_class": 0.25}


def test_labels_that_pile_up() -> None:
    found = values([2, 2, 2, 2, 2], 4)
    assert found == {"balance": pytest.approx(0.0), "empty_classes": 3, "largest_class": 1.0}


def test_the_share_of_labels_that_changed() -> None:
    (found,) = change_measures(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
    assert found.value == 0.25
