"""Approximate search of nearest neighbours in many rows, in time that grows slower than N².

The rows are split into 4 √N cells by k-means (an inverted file as in Sivic and Zisserman: Video
Google, ICCV 2003). The neighbours of a row are searched in its own cell and in the cells whose
centres are nearest to its centre, first by a third of the principal directions of the rows, then by
all numbers for the best of these. The number of cells to search is measured: it is the smallest
with which the neighbours of some random rows, found by exact search, are found again.

torch alone does this, because a library was no better. On 20,000 features of 384 numbers with the
statistics of sixteen image sets, on one thread, the cells took 2.4 s of CPU time at a recall of
.97. faiss-cpu 1.15 (MIT licence, wheels of 18 MB, 65 MB installed) took 2.2 s at .97 with cells,
and 3.9 s at .99 with a graph. hnswlib (Apache) has no wheels, and no release since 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.toolkit.blocks import row_blocks

RECALL = 0.99
"""Share of the nearest neighbours of random rows that the searched cells must contain."""
_CELLS = 4.0
"""Number of cells, relative to √N."""
_SAMPLES, _STEPS = 32, 5
"""Number of rows per cell that k-means uses, and number of its steps."""
_SHORT, _SHORTEST = 3, 64
"""Rows are compared first by a third of their numbers, but at least 64; then by all numbers with
three times as many rows as are wanted, which loses 0.5 % of the neighbours."""
_MEASURED = 512
"""Number of random rows that determine how many cells are searched."""

Exact = Callable[[Tensor], Tensor]
"""Function that returns the indices (Q, k) of the exact neighbours of the rows `queries` (Q,)."""


@dataclass(frozen=True)
class Cells:
    """Rows (N, D), split into L cells."""

    centres: Tensor
    """(L, D): unit centres."""
    cell: Tensor
    """(N,) int64: cell of each row."""
    order: Tensor
    """(N,) int64: indices of the rows, sorted by cell."""
    ends: tuple[int, ...]
    """L + 1 numbers: cell c has the rows `order[ends[c] : ends[c + 1]]`."""

    @classmethod
    def of(cls, rows: Tensor, generator: torch.Generator) -> Cells:
        """Split unit rows (N, D) by k-means on a random sample."""
        count = max(1, int(_CELLS * math.sqrt(len(rows))))
        sample = rows[_random_rows(rows, count * _SAMPLES, generator).sort().values]
        centres = sample[_random_rows(sample, count, generator)]
        for _ in range(_STEPS):
            sums = torch.zeros_like(centres).index_add_(0, _nearest(sample, centres), sample)
            centres = torch.where(sums.any(dim=1, keepdim=True), normalize(sums, dim=1), centres)
        cell = _nearest(rows, centres)
        counts = cell.bincount(minlength=len(centres))
        ends = (0, *counts.cumsum(0).tolist())
        return cls(centres, cell, cell.argsort(stable=True), ends)

    def near(self, count: int) -> Tensor:
        """Return each cell and the `count` - 1 cells with the nearest centres (L, count)."""
        similarities = (self.centres @ self.centres.T).fill_diagonal_(torch.inf)
        return similarities.topk(count, dim=1).indices

    def searched_cells(self, queries: Tensor, neighbours: Tensor) -> int:
        """Return with how many cells a search finds the share `RECALL` of the `neighbours` (Q, k).

        `queries` (Q,) and `neighbours` are indices of rows.
        """
        centres = self.centres[self.cell[queries]]
        similarities = centres @ self.centres.T
        similarities.scatter_(1, self.cell[queries].unsqueeze(1), torch.inf)
        ranks = similarities.argsort(dim=1, descending=True).argsort(dim=1)
        ranks_of_neighbours = ranks.gather(1, self.cell[neighbours]).flatten().sort().values
        return int(ranks_of_neighbours[int(RECALL * (len(ranks_of_neighbours) - 1))]) + 1


def search_in_cells(
    rows: Tensor,
    count: int,
    exact: Exact,
    block_bytes: int,
    advance: Callable[[int], object] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return cosines (N, k) and indices (N, k) of neighbours, nearest first; see this module.

    Args:
        rows: unit rows (N, D), with N > `count`.
        count: number k of neighbours per row.
        exact: exact search, which measures how many cells must be searched.
        block_bytes: largest size of a block of similarities, in bytes (but at least one row).
        advance: called with the number of rows that have been searched.
    """
    generator = torch.Generator().manual_seed(0)
    cells = Cells.of(rows, generator)
    queries = _random_rows(rows, _MEASURED, generator)
    near = _with_enough_rows(cells, cells.searched_cells(queries, exact(queries)), count)
    cosines = rows.new_empty(len(rows), count)
    indices = torch.empty(len(rows), count, dtype=torch.int64, device=rows.device)
    sorted_rows = rows[cells.order]
    short_rows = sorted_rows @ _principal_directions(sorted_rows)
    for cell, near_cells in enumerate(near.tolist()):
        span = slice(cells.ends[cell], cells.ends[cell + 1])
        if span.start == span.stop:
            continue
        near_spans = [slice(cells.ends[other], cells.ends[other + 1]) for other in near_cells]
        order, candidates, short_candidates = (
            torch.cat([tensor[near_span] for near_span in near_spans])
            for tensor in (cells.order, sorted_rows, short_rows)
        )
        compared = min(_SHORT * count, len(candidates) - 1)
        row_bytes = max(len(candidates), compared * rows.shape[1]) * rows.element_size()
        for block in _blocks(span.stop - span.start, row_bytes, block_bytes):
            similarities = short_rows[span][block] @ short_candidates.T
            # The own cell comes first, so that row r of the cell is candidate r.
            similarities[:, block.start : block.stop].fill_diagonal_(-torch.inf)
            places = similarities.topk(compared, dim=1, sorted=False).indices
            exact_cosines = (candidates[places] @ sorted_rows[span][block].unsqueeze(2)).squeeze(2)
            best = exact_cosines.topk(count, dim=1)
            targets = cells.order[span][block]
            cosines[targets] = best.values
            indices[targets] = order[places.gather(1, best.indices)]
        if advance is not None:
            advance(span.stop - span.start)
    return cosines, indices


def _principal_directions(rows: Tensor) -> Tensor:
    """Return the directions (D, S) along which rows are longest: a third of all, or 64."""
    sample = rows[:: max(1, len(rows) // 2**14)]
    width = min(rows.shape[1], max(_SHORTEST, rows.shape[1] // _SHORT))
    directions: Tensor = torch.linalg.eigh(sample.T @ sample).eigenvectors
    return directions[:, -width:]


def _with_enough_rows(cells: Cells, searched: int, count: int) -> Tensor:
    """Return the cells to search for each cell: `searched` or more, with over `count` rows."""
    sizes = torch.tensor(cells.ends, device=cells.cell.device).diff()
    while True:
        near = cells.near(min(searched, len(sizes)))
        if searched >= len(sizes) or int(sizes[near].sum(dim=1).min()) > count:
            return near
        searched *= 2


def _blocks(rows: int, row_bytes: int, block_bytes: int) -> Iterator[slice]:
    size = max(1, block_bytes // row_bytes)
    for start in range(0, rows, size):
        yield slice(start, min(rows, start + size))


def _random_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` random indices of `rows`, or all, in random order."""
    return torch.randperm(len(rows), generator=generator)[:count].to(rows.device)


def _nearest(rows: Tensor, centres: Tensor) -> Tensor:
    """Return the nearest centre (N,) of each row."""
    blocks = row_blocks(len(rows), len(centres))
    return torch.cat([(rows[block] @ centres.T).argmax(dim=1) for block in blocks])
