"""Exact nearest neighbours against loops over all pairs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latte_author.testing.fixtures import unit_rows
from torch import Tensor

from latte.toolkit.neighbours import nearest_neighbours, nearest_rows
from tests.helpers.property_inputs import QUICKLY


def slow_cosines(rows: Tensor, query: int, count: int) -> list[float]:
    """The largest cosines of one row with the others, nearest first."""
    cosines = [float(rows[query] @ rows[row]) for row in range(len(rows)) if row != query]
    return sorted(cosines, reverse=True)[:count]


@QUICKLY
@given(
    st.integers(1, 30),
    st.integers(1, 8),
    st.integers(0, 10_000),
    st.integers(1, 4000),
    st.booleans(),
)
def test_neighbours_equal_a_slow_search(
    count_rows: int, count: int, seed: int, block_bytes: int, repeated: bool
) -> None:
    rows = unit_rows(count_rows, 5, seed).double()
    if repeated:
        rows = rows[torch.arange(count_rows) // 3]
    cosines, indices = nearest_neighbours(rows, count, block_bytes=block_bytes)
    neighbour_count = min(count, count_rows - 1)
    assert cosines.shape == indices.shape == (count_rows, neighbour_count)
    for query in range(count_rows):
        neighbours = indices[query].tolist()
        assert query not in neighbours
        assert len({*neighbours}) == neighbour_count
        assert cosines[query].tolist() == pytest.approx(slow_cosines(rows, query, count))
        assert cosines[query].tolist() == pytest.approx(
            [float(rows[query] @ rows[i]) for i in neighbours]
        )


@QUICKLY
@given(st.integers(2, 30), st.integers(1, 8), st.integers(0, 10_000))
def test_queries_select_rows_of_the_whole_search(rows: int, count: int, seed: int) -> None:
    features, queries = unit_rows(rows, 5, seed).double(), torch.arange(0, rows, 3)
    cosines, indices = nearest_neighbours(features, count, queries)
    every_cosine, every_index = nearest_neighbours(features, count)
    assert torch.allclose(cosines, every_cosine[queries])
    assert torch.equal(indices, every_index[queries])


def test_search_repeats_to_the_bit_with_ties_and_keeps_the_dtype() -> None:
    for dtype in (torch.float32, torch.float64):
        rows = unit_rows(20, 8, 0).to(dtype)[torch.arange(60) % 20]
        neighbours, neighbours_again = nearest_neighbours(rows, 7), nearest_neighbours(rows, 7)
        assert neighbours[0].dtype == dtype
        assert torch.equal(neighbours[0], neighbours_again[0])
        assert torch.equal(neighbours[1], neighbours_again[1])


def test_progress_advances_by_the_queries_of_each_block() -> None:
    done: list[int] = []
    nearest_neighbours(unit_rows(10, 4, 0), 2, block_bytes=4 * 10 * 4, advance=done.append)
    assert done == [4, 4, 2]


def test_no_rows_have_no_neighbours() -> None:
    cosines, indices = nearest_neighbours(torch.zeros(0, 4), 3)
    assert cosines.shape == indices.shape == (0, 0)


def test_nearest_rows_of_two_sets_are_those_of_all_cosines() -> None:
    queries, rows = unit_rows(7, 6, seed=1), unit_rows(9, 6, seed=2)
    expected = (queries @ rows.T).topk(3, dim=1)
    cosines, indices = nearest_rows(queries, rows, 3, block_bytes=9 * 4 * 2)
    assert torch.equal(indices, expected.indices)
    torch.testing.assert_close(cosines, expected.values)
    assert nearest_rows(queries[:2], rows[:1], 4)[1].tolist() == [[0], [0]]
    assert nearest_rows(queries[:0], rows, 3)[0].shape == (0, 3)
