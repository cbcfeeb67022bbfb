"""Approximate nearest neighbours against exact ones."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing.fixtures import unit_rows
from torch import Tensor
from torch.nn.functional import normalize

from latte.toolkit import neighbours
from latte.toolkit.cells import Cells
from latte.toolkit.neighbours import nearest_neighbours

ROWS, COUNT = 3000, 10


def grouped_rows() -> Tensor:
    """Return unit rows in 60 groups that overlap."""
    generator = torch.Generator().manual_seed(1)
    centres = unit_rows(60, 16, seed=0)[torch.arange(ROWS) % 60]
    return normalize(centres + 0.25 * torch.randn(centres.shape, generator=generator), dim=1)


def exact_indices(rows: Tensor) -> Tensor:
    return nearest_neighbours(rows, COUNT, torch.arange(len(rows)))[1]


@pytest.fixture
def searches_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT_ROWS", 100)


@pytest.mark.usefixtures("searches_cells")
def test_cells_contain_most_nearest_neighbours_and_not_all_rows_are_compared() -> None:
    rows = grouped_rows()
    done: list[int] = []
    cosines, indices = nearest_neighbours(rows, COUNT, advance=done.append)
    is_right = (indices.unsqueeze(2) == exact_indices(rows).unsqueeze(1)).any(dim=2)
    assert 0.95 <= float(is_right.double().mean()) < 1
    assert sum(done) == ROWS
    assert not bool((indices == torch.arange(ROWS).unsqueeze(1)).any())
    assert bool((indices.sort(dim=1).values.diff() > 0).all())
    expected = (rows.unsqueeze(1) * rows[indices]).sum(dim=2)
    torch.testing.assert_close(cosines, expected)
    assert bool((cosines.diff() <= 0).all())


@pytest.mark.usefixtures("searches_cells")
def test_search_in_cells_repeats_to_the_bit_in_small_blocks() -> None:
    rows = grouped_rows()
    neighbours, neighbours_again = nearest_neighbours(rows, COUNT), nearest_neighbours(rows, COUNT)
    assert torch.equal(neighbours[0], neighbours_again[0])
    assert torch.equal(neighbours[1], neighbours_again[1])
    small = nearest_neighbours(rows, COUNT, block_bytes=40_000)
    assert float((small[1] == neighbours[1]).double().mean()) > 0.999


@pytest.mark.usefixtures("searches_cells")
@pytest.mark.parametrize("count", [1, 150])
def test_identical_rows_and_more_neighbours_than_a_cell_has(count: int) -> None:
    rows = unit_rows(10, 8, seed=0)[torch.arange(400) % 10]
    cosines, indices = nearest_neighbours(rows, count)
    assert not bool((indices == torch.arange(400).unsqueeze(1)).any())
    assert bool((indices.sort(dim=1).values.diff() > 0).all())
    torch.testing.assert_close(cosines[:, :39], torch.ones(400, min(count, 39)))


@pytest.mark.usefixtures("searches_cells")
def test_number_of_threads_changes_no_bit() -> None:
    rows, threads = grouped_rows(), torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(nearest_neighbours(rows, COUNT, block_bytes=100_000))
    torch.set_num_threads(threads)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_rank_of_a_neighbour_is_the_number_of_cells_nearer_to_the_query() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    cells = Cells(rows, torch.arange(3), torch.arange(3), rows, (0, 1, 2, 3))
    neighbours = torch.tensor([[0, 1, 2], [2, 0, 1]])
    assert cells.ranks(rows[[0, 2]], neighbours).tolist() == [[0, 1, 2], [0, 2, 1]]


def test_enough_cells_are_those_whose_smallest_have_more_rows_than_neighbours() -> None:
    rows = torch.eye(3)
    cells = Cells(rows, torch.arange(3), torch.arange(6), rows, (0, 3, 4, 6))
    assert [cells.enough(count) for count in (0, 1, 2, 3, 5)] == [1, 2, 2, 3, 3]
