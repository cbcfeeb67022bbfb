"""Adjusted mutual information against counting and against every permutation."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.mutual_information import (
    adjusted_mutual_information,
    expected_mutual_information,
    mutual_information,
)
from tests.helpers.property_inputs import QUICKLY, drawn_labels

pytestmark = pytest.mark.thorough

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=6)
PAIRS = st.integers(1, 40).flatmap(
    lambda size: st.tuples(
        *[st.lists(st.integers(0, 5), min_size=size, max_size=size) for _ in range(2)]
    )
)


def counted_information(first: Sequence[int], second: Sequence[int]) -> float:
    images = len(first)
    ones, others = Counter(first), Counter(second)
    return sum(
        both / images * math.log(images * both / (ones[a] * others[b]))
        for (a, b), both in Counter(zip(first, second, strict=True)).items()
    )


def information(first: Sequence[int], second: Sequence[int]) -> float:
    return adjusted_mutual_information(torch.tensor(first), torch.tensor(second))


@given(PAIRS)
def test_mutual_information_equals_counting(pair: tuple[list[int], list[int]]) -> None:
    found = mutual_information(torch.tensor(pair[0]), torch.tensor(pair[1]))
    assert found == pytest.approx(counted_information(*pair), abs=1e-12)


@QUICKLY
@given(LABELS, st.data())
def test_the_expectation_is_the_mean_over_all_permutations(
    first: list[int], data: st.DataObject
) -> None:
    second = data.draw(st.lists(st.integers(0, 3), min_size=len(first), max_size=len(first)))
    permuted = [counted_information(first, order) for order in itertools.permutations(second)]
    counts = [torch.tensor(list(Counter(labels).values())) for labels in (first, second)]
    found = expected_mutual_information(*counts)
    assert found == pytest.approx(sum(permuted) / len(permuted), abs=1e-9)


@given(PAIRS)
def test_it_is_symmetric_and_at_most_one(pair: tuple[list[int], list[int]]) -> None:
    found = information(*pair)
    assert found == pytest.approx(information(pair[1], pair[0]), abs=1e-9)
    assert found <= 1 + 1e-9


@given(st.lists(st.integers(0, 3), min_size=8, max_size=30), st.permutations(range(4)))
def test_names_of_classes_do_not_matter(labels: list[int], names: list[int]) -> None:
    sizes = Counter(labels)
    several = len(sizes) > 1 and max(sizes.values()) > 1
    expected = 1.0 if several else 0.0
    assert information(labels, [names[label] for label in labels]) == pytest.approx(expected)


def test_unrelated_labels_tell_nothing_however_few_images_a_class_has() -> None:
    found = [
        adjusted_mutual_information(drawn_labels(120, 60, seed), drawn_labels(120, 60, 1000 + seed))
        for seed in range(40)
    ]
    assert sum(found) / len(found) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("first", "second"),
    [([0, 0, 0], [0, 1, 2]), ([0, 0], [0, 0]), ([0, 1, 2], [2, 0, 1]), ([3], [1])],
)
def test_where_nothing_can_be_told_it_is_zero(first: list[int], second: list[int]) -> None:
    assert information(first, second) == 0.0
