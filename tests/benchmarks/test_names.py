"""The measurement of signals that say if CLIP knows the class names."""

from __future__ import annotations

import math

import pytest
import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet, no_names
from torch.nn.functional import normalize

from benchmarks.names import (
    MeasuredSet,
    chosen_limit,
    exact_interval,
    halves,
    left_out,
    measure,
    share,
)

NEAR, FAR = 0.05, 0.5


def sets(*pairs: tuple[float, float]) -> list[MeasuredSet]:
    """Return sets with these leads and shares of the way from chance."""
    return [
        MeasuredSet(f"set {place}", 4, 100, lead, 0.0, way)
        for place, (lead, way) in enumerate(pairs)
    ]


def lead(measured_set: MeasuredSet) -> float:
    return measured_set.lead


def test_a_set_is_measured_on_its_training_images() -> None:
    texts = torch.eye(4)
    labels = torch.arange(200) % 4
    wrong = torch.where(torch.arange(200) < 60, (labels + 1) % 4, labels)
    noise = 0.01 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    features = normalize(texts[wrong] + noise, dim=1)
    train, test = LabelledImages(features, labels), LabelledImages(texts, torch.arange(4))
    measured_set = measure(LabelledSet("a", "a", tuple("abcd"), texts, 1.0, train, test, no_names))
    assert measured_set.way == pytest.approx((0.7 - 0.25) / 0.75)
    assert (measured_set.names, measured_set.images) == (4, 200)
    assert measured_set.lead > 1.5 and measured_set.agreement > 0.9


def test_the_limit_is_the_highest_with_enough_sets_near_chance() -> None:
    near, far = [(0.1 * place, NEAR) for place in range(1, 7)], [(1.0, FAR), (1.1, FAR)]
    assert chosen_limit(sets(*near, *far), lead) == pytest.approx(1.05)
    assert chosen_limit(sets((0.5, FAR), *far), lead) is None
    assert chosen_limit(sets((math.inf, NEAR), (math.inf, FAR)), lead) is None


def test_a_set_does_not_choose_its_own_limit() -> None:
    """By all sets the limit is 0.65; without a set near chance, none is reached."""
    odd = sets((0.3, NEAR), (0.6, FAR), (0.7, FAR))
    assert chosen_limit(odd, lead) == pytest.approx(0.45)
    assert not [measured_set for measured_set in left_out(odd, lead) if measured_set.way <= NEAR]
    clear = sets(*[(0.1, NEAR)] * 4, *[(2.0, FAR)] * 4)
    assert [measured_set.lead for measured_set in left_out(clear, lead)] == [0.1] * 4
    assert halves(clear, lead)[0] > 0.85


def test_exact_intervals_of_shares() -> None:
    assert exact_interval(7, 8) == pytest.approx((0.4735, 0.9968), abs=1e-4)
    assert exact_interval(0, 8) == pytest.approx((0, 0.3694), abs=1e-4)
    assert exact_interval(8, 8) == pytest.approx((0.6306, 1), abs=1e-4)
    assert share(7, 8) == "7 of 8, 88% (47 to 100)"
