"""Neighbours and their labels against loops over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces.progress import SilentProgress
from latte.report.diagnosis import measures as module
from latte.report.diagnosis.measures import (
    Neighbours,
    choose_queries,
    find_neighbours,
    purity,
    purity_by_chance,
    purity_measure,
)
from latte.testing.fixtures import unit_rows
from latte.toolkit.neighbours import nearest_neighbours
from tests.helpers.property_inputs import QUICKLY, drawn_labels


@QUICKLY
@given(st.integers(2, 15), st.integers(1, 6), st.integers(1, 4), st.integers(0, 10_000))
def test_purity_equals_slow_loops(images: int, count: int, classes: int, seed: int) -> None:
    features, labels = unit_rows(images, 5, seed), drawn_labels(images, classes, seed)
    queries = torch.arange(images)
    found = purity(labels, Neighbours(queries, nearest_neighbours(features, count)[1]))
    for index in range(images):
        others = [other for other in range(images) if other != index]
        others.sort(key=lambda other: -float(features[index] @ features[other]))
        alike = sum(int(labels[other]) == int(labels[index]) for other in others)
        counted = others[: min(count, alike)]
        if counted:
            same = sum(int(labels[other]) == int(labels[index]) for other in counted)
            assert float(found[index]) == pytest.approx(same / len(counted))
        else:
            assert math.isnan(float(found[index]))


def test_separate_clusters_are_pure_and_shuffled_labels_are_as_by_chance() -> None:
    centres = torch.eye(4).repeat_interleave(torch.tensor([3, 10, 20, 30]), dim=0)
    noise = unit_rows(len(centres), 4, 0)
    features = torch.nn.functional.normalize(centres + 0.05 * noise, dim=1)
    labels, near = centres.argmax(dim=1), find_neighbours(features, 0, SilentProgress())
    found = purity_measure(labels, near)
    assert found.value == 1.0
    shuffled = [purity_measure(labels[torch.randperm(63)], near).value for _ in range(200)]
    assert sum(shuffled) / 200 == pytest.approx(found.chance, abs=0.02)


def test_chance_without_any_class_of_two_is_undefined() -> None:
    assert math.isnan(purity_by_chance(torch.arange(4)))
    assert math.isnan(purity_by_chance(torch.tensor([0])))
    assert purity_by_chance(torch.tensor([1, 1, 1])) == 1.0


def test_few_images_are_all_asked_and_of_many_a_sample_that_the_seed_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose_queries(7, 0).tolist() == list(range(7))
    monkeypatch.setattr(module, "QUERIES", 5)
    drawn = choose_queries(100, 3)
    assert len(set(drawn.tolist())) == 5
    assert drawn.tolist() == sorted(choose_queries(100, 3).tolist())
    assert drawn.tolist() != choose_queries(100, 4).tolist()
