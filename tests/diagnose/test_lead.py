"""The lead of the best class: 1 where class texts are unrelated to the images, more where not."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latte.diagnose import lead as module
from latte.diagnose.lead import expected_lead, lead_over_chance


def noise(images: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randn(images, classes, generator=torch.Generator().manual_seed(seed))


def lead_of(similarities: Tensor) -> float:
    """With texts that are the axes, features are similarities."""
    return lead_over_chance(similarities, torch.eye(similarities.shape[1]))


def slow_lead(similarities: Tensor) -> float:
    """The definition, image by image."""
    rows = similarities.double().tolist()
    classes = len(rows[0])
    means = [sum(row[c] for row in rows) / len(rows) for c in range(classes)]
    leads, variances = [], []
    for row in rows:
        centred = [value - mean for value, mean in zip(row, means, strict=True)]
        best, second, *_ = sorted(centred, reverse=True)
        middle = sum(centred) / classes
        leads.append(best - second)
        variances.append(sum((value - middle) ** 2 for value in centred) / (classes - 1))
    spread = math.sqrt(sum(variances) / len(rows))
    return sum(leads) / len(rows) / spread / expected_lead(classes)


@pytest.mark.parametrize(("classes", "known"), [(2, 2 / math.sqrt(math.pi)), (3, 0.846284)])
def test_the_expected_lead_is_that_of_normal_order_statistics(classes: int, known: float) -> None:
    assert expected_lead(classes) == pytest.approx(known, abs=1e-5)


@pytest.mark.parametrize("classes", [5, 40, 400])
def test_the_expected_lead_is_what_sampling_finds(classes: int) -> None:
    best = noise(20_000, classes).topk(2, dim=1).values
    found = float((best[:, 0] - best[:, 1]).mean())
    assert found == pytest.approx(expected_lead(classes), rel=0.03)


@pytest.mark.parametrize("classes", [2, 5, 50, 300])
def test_unrelated_classes_lead_as_chance_has_it(classes: int) -> None:
    assert lead_of(noise(4000, classes)) == pytest.approx(1, abs=0.05)


def test_a_class_text_near_to_every_image_is_no_lead() -> None:
    near_to_all = noise(4000, 10)
    near_to_all[:, 3] += 100
    assert lead_of(near_to_all) == pytest.approx(1, abs=0.05)


def test_classes_that_are_singled_out_lead() -> None:
    similarities = noise(4000, 10)
    similarities[torch.arange(4000), torch.arange(4000) % 10] += 6
    assert lead_of(similarities) > 2


@given(st.integers(2, 12), st.integers(2, 8), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_it_is_its_definition(images: int, classes: int, seed: int) -> None:
    similarities = noise(images, classes, seed)
    assert lead_of(similarities) == pytest.approx(slow_lead(similarities), rel=1e-6)


@given(st.floats(0.01, 100), st.floats(-5, 5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_scale_offset_and_order_do_not_matter(scale: float, offset: float, seed: int) -> None:
    similarities = noise(30, 6, seed)
    other = (similarities * scale + offset)[torch.randperm(30)][:, torch.randperm(6)]
    assert lead_of(other) == pytest.approx(lead_of(similarities), rel=1e-3)


@pytest.mark.parametrize("shape", [(5, 1), (1, 5)])
def test_one_class_or_one_image_has_no_lead(shape: tuple[int, int]) -> None:
    assert math.isnan(lead_of(noise(*shape)))


def test_equal_similarities_have_no_lead() -> None:
    assert math.isnan(lead_of(torch.full((5, 3), 0.25)))


def test_it_is_worked_out_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    similarities = noise(50, 6)
    whole = lead_of(similarities)
    monkeypatch.setattr(module, "_ROWS_A_BLOCK", 7)
    assert lead_of(similarities) == pytest.approx(whole, rel=1e-12)
