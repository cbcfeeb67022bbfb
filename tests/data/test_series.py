"""Series: union of pairs, numbers without gaps, and their sizes."""

from __future__ import annotations

import random

import torch

from latte.data.series import equal_pairs, joined


def pairs(*rows: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 2)


def test_images_without_pairs_are_series_of_their_own() -> None:
    series = joined(3, {"copies": pairs()})
    assert series.numbers.tolist() == [0, 1, 2]
    assert series.origins == ((), (), ())
    assert series.sizes.tolist() == [1, 1, 1]
    assert len(joined(0, {})) == 0


def test_pairs_of_several_origins_join_one_series() -> None:
    series = joined(8, {"copies": pairs((0, 3)), "burst": pairs((5, 3), (7, 6))})
    assert series.numbers.tolist() == [0, 1, 2, 0, 3, 0, 4, 4]
    assert series.origins == (("copies", "burst"), (), (), (), ("burst",))
    assert series.first_images.tolist() == [0, 1, 2, 4, 6]
    assert series.sizes.tolist() == [3, 1, 1, 1, 2]


def test_union_of_random_pairs_equals_a_search_of_the_graph() -> None:
    for seed in range(50):
        generator = random.Random(seed)
        count = generator.randint(1, 60)
        edges = [
            (generator.randrange(count), generator.randrange(count))
            for _ in range(generator.randint(0, count))
        ]
        found = joined(count, {"near-copies": pairs(*edges)}).numbers.tolist()
        neighbours: dict[int, set[int]] = {index: {index} for index in range(count)}
        for first, second in edges:
            together = neighbours[first] | neighbours[second]
            for index in together:
                neighbours[index] = together
        expected: dict[int, int] = {}
        for index in range(count):
            expected.setdefault(min(neighbours[index]), len(expected))
        assert found == [expected[min(neighbours[index])] for index in range(count)]


def test_chain_of_100_000_images_is_one_series() -> None:
    count = 100_000
    order = torch.randperm(count - 1, generator=torch.Generator().manual_seed(0))
    chain = torch.stack([torch.arange(count - 1), torch.arange(1, count)], dim=1)[order]
    assert joined(count, {"near-copies": chain}).sizes.tolist() == [count]


def test_order_of_pairs_changes_nothing() -> None:
    edges = torch.randint(0, 300, (200, 2), generator=torch.Generator().manual_seed(1))
    first = joined(300, {"copies": edges})
    second = joined(300, {"copies": edges.flip(0, 1)})
    assert torch.equal(first.numbers, second.numbers)
    assert first.origins == second.origins


def test_empty_names_equal_none() -> None:
    assert equal_pairs(["a", None, "", "b", "a", "", None, "a"]).tolist() == [[0, 4], [0, 7]]
    assert equal_pairs([]).shape == (0, 2)


def test_series_of_some_images_are_numbered_without_gaps() -> None:
    series = joined(6, {"column": pairs((1, 4), (2, 5))})
    assert series.taken(torch.tensor([5, 4, 1, 3])).tolist() == [1, 0, 0, 2]
