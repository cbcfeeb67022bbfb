"""Simulated reviews with series: one answer per series, and intervals that hold."""

from __future__ import annotations

import numpy as np

from benchmarks.review import Case, made_series, simulate


def labels(images: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, images)
    zero_shot, adapted = (
        np.where(random.random(images) < share, truth, (truth + 1) % 4) for share in (0.5, 0.7)
    )
    return [truth, zero_shot, adapted]


def test_made_series_have_one_true_label_and_at_most_the_largest_size() -> None:
    all_labels = labels(600)
    series = made_series(all_labels, 30, np.random.default_rng(0))
    sizes = np.bincount(series)
    assert 1 <= sizes.min() <= 3
    assert 25 <= sizes.max() <= 30
    assert all(len({*all_labels[0][series == number]}) == 1 for number in range(len(sizes)))
    assert made_series(all_labels, 1, np.random.default_rng(0)).tolist() == [*range(600)]


def test_reviewers_of_series_give_fewer_answers_and_their_intervals_hold() -> None:
    all_labels, cells = labels(600), []
    for largest in (1, 30):
        series = made_series(all_labels, largest, np.random.default_rng(0))
        cells.append(simulate(Case("made", *all_labels, series), 40, 0.0, 0))
    alone, joined = cells
    assert alone[:4] == joined[:4]
    assert float(joined[4].rstrip("%")) >= 95
    assert float(joined[5]) < float(alone[5])
