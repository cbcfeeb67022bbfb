"""Measures of changed labels and of classes in use."""

from __future__ import annotations

import pytest
import torch

from latte.report.diagnosis.classifier import change_measure, usage_measure


@pytest.mark.parametrize(("labels", "share"), [([0, 1, 2, 3, 0], 1.0), ([2, 2, 2], 0.25)])
def test_share_of_classes_that_label_an_image(labels: list[int], share: float) -> None:
    assert usage_measure(torch.tensor(labels), 4).value == share


def test_share_of_labels_that_changed() -> None:
    found = change_measure(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
    assert found.value == 0.25
