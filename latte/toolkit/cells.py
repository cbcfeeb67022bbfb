"""Approximate search of nearest neighbours in many rows, in time that grows slower than N².

The rows are split into 4 √N cells by k-means, and the neighbours of a row are searched in the cells
whose centres are nearest to the row (an inverted file as in Sivic and Zisserman: Video Google, ICCV
2003). The number of searched cells is measured: it is the smallest with which the neighbours of
some random rows, found by exact search, are found again.

torch alone does this, because a library was no better. On 20,000 features of 384 numbers with the
statistics of sixteen image sets, on one thread, the cells took 1.9 s of CPU time at a recall of
.97. faiss-cpu 1.15 (MIT licence, wheels of 18 MB, 65 MB installed) took 2.2 s at .97 with cells,
and 3.9 s at .99 with a graph. hnswlib (Apache) has no wheels, and no release since 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.toolkit.blocks import row_blocks
from latte.toolkit.threads import parallel_map

RECALL = 0.97
"""Share of the nearest neighbours of random rows that the searched cells must contain."""
_CELLS = 4.0
"""Number of cells, relative to √N."""
_SAMPLES, _STEPS = 16, 5
"""Number of rows per cell that k-means uses, and number of its steps."""
_MEASURED, _MEASURED_TOGETHER = 512, 32
"""Number of random rows that determine how many cells are searched, and how many of them a thread
compares with all rows at once."""
_ROWS = 2**13
"""Largest number of rows whose neighbours a thread searches at once. No size of a block depends on
the number of threads, so results do not."""

Exact = Callable[[Tensor], Tensor]
"""Function that returns the indices (Q, k) of the exact neighbours of the rows `queries` (Q,)."""
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Cells:
    """Rows (N, D), split into L cells."""

    centres: Tensor
    """(L, D): unit centres."""
    cell: Tensor
    """(N,) int64: cell of each row."""
    order: Tensor
    """(N,) int64: indices of the rows, sorted by cell."""
    sorted_rows: Tensor
    """(N, D): the rows, sorted by cell."""
    ends: tuple[int, ...]
    """L + 1 numbers: cell c has the rows `sorted_rows[ends[c] : ends[c + 1]]`, at least one."""

    @classmethod
    def of(cls, rows: Tensor, generator: torch.Generator, advance: Advance) -> Cells:
        """Split unit rows (N, D) by k-means on a random sample."""
        count = max(1, int(_CELLS * math.sqrt(len(rows))))
        sample = rows[_random_rows(rows, count * _SAMPLES, generator).sort().values]
        centres = sample[_random_rows(sample, count, generator)]
        for _ in range(_STEPS):
            nearest = _nearest(sample, centres, advance)
            sums = torch.zeros_like(centres).index_add_(0, nearest, sample)
            centres = torch.where(sums.any(dim=1, keepdim=True), normalize(sums, dim=1), centres)
        occupied, cell, sizes = torch.unique(
            _nearest(rows, centres, advance), return_inverse=True, return_counts=True
        )
        order = cell.argsort(stable=True)
        return cls(centres[occupied], cell, order, rows[order], (0, *sizes.cumsum(0).tolist()))

    def ranks(self, queries: Tensor, neighbours: Tensor) -> Tensor:
        """Return how many cells are nearer to each query than the cell of each neighbour (Q, k).

        `queries` (Q, D) are rows, and `neighbours` (Q, k) are indices of rows.
        """
        ranks = (queries @ self.centres.T).argsort(dim=1, descending=True).argsort(dim=1)
        return ranks.gather(1, self.cell[neighbours])

    def enough(self, count: int) -> int:
        """Return a number of cells that have more than `count` rows, whichever cells these are."""
        sizes = torch.tensor(self.ends).diff().sort().values
        return int((sizes.cumsum(0) <= count).sum()) + 1

    def search(
        self, block: slice, searched: int, count: int, block_bytes: int
    ) -> tuple[Tensor, Tensor]:
        """Return cosines (B, k) and indices (B, k) of neighbours of the sorted rows in `block`.

        They are searched in the `searched` nearest cells. Similarities take at most `block_bytes`.
        """
        queries = self.sorted_rows[block]
        near = self._near(queries, searched).flatten()
        cells, sizes = torch.unique(near, return_counts=True)
        pairs_of_cells = torch.split(near.argsort(stable=True), sizes.tolist())
        # A row is the nearest of its own cell: it takes one place, and is removed below.
        cosines = queries.new_full((len(near), count + 1), -torch.inf)
        places = torch.zeros_like(cosines, dtype=torch.int64)
        for cell, pairs_of_cell in zip(cells.tolist(), pairs_of_cells, strict=True):
            start, stop = self.ends[cell], self.ends[cell + 1]
            candidates, nearest_count = self.sorted_rows[start:stop], min(count + 1, stop - start)
            row_bytes = len(candidates) * candidates.element_size()
            for pairs in torch.split(pairs_of_cell, max(1, block_bytes // row_bytes)):
                similarities = queries[pairs // searched] @ candidates.T
                best = similarities.topk(nearest_count, dim=1, sorted=False)
                cosines[pairs, :nearest_count] = best.values
                places[pairs, :nearest_count] = best.indices + start
        cosines, places = cosines.view(len(queries), -1), places.view(len(queries), -1)
        own_places = torch.arange(block.start, block.stop, device=places.device).unsqueeze(1)
        nearest = cosines.masked_fill_(places == own_places, -torch.inf).topk(count, dim=1)
        return nearest.values, self.order[places.gather(1, nearest.indices)]

    def _near(self, queries: Tensor, count: int) -> Tensor:
        """Return the cells (Q, `count`) whose centres are nearest to each query, in any order."""
        near = [
            (queries[rows] @ self.centres.T).topk(count, dim=1, sorted=False).indices
            for rows in row_blocks(len(queries), len(self.centres))
        ]
        return torch.cat(near)


def search_in_cells(
    rows: Tensor, count: int, exact: Exact, block_bytes: int, advance: Advance
) -> tuple[Tensor, Tensor]:
    """Return cosines (N, k) and indices (N, k) of neighbours, nearest first; see this module.

    Args:
        rows: unit rows (N, D), with N > `count`.
        count: number k of neighbours per row.
        exact: exact search, which measures how many cells must be searched.
        block_bytes: largest size of a block of similarities, in bytes (but at least one row).
        advance: called with the number of rows that have been searched; 0 while cells are computed.
    """
    generator = torch.Generator().manual_seed(0)
    cells = Cells.of(rows, generator, advance)
    queries = _random_rows(rows, _MEASURED, generator)
    searched = max(cells.enough(count), _searched(cells, rows, queries, exact))
    cosines = rows.new_empty(len(rows), count)
    indices = torch.empty(len(rows), count, dtype=torch.int64, device=rows.device)

    def search(block: slice) -> int:
        targets = cells.order[block]
        cosines[targets], indices[targets] = cells.search(block, searched, count, block_bytes)
        return len(targets)

    # Each searched cell of a row takes k + 1 numbers of 4 bytes and as many of 8 bytes.
    size = max(1, min(_ROWS, block_bytes // (12 * searched * (count + 1))))
    blocks = [slice(start, min(len(rows), start + size)) for start in range(0, len(rows), size)]
    for done in parallel_map(search, blocks):
        advance(done)
    return cosines, indices


def _searched(cells: Cells, rows: Tensor, queries: Tensor, exact: Exact) -> int:
    """Return with how many cells a search finds the share `RECALL` of the neighbours of queries.

    `queries` (Q,) are indices of rows.
    """

    def ranks(block: Tensor) -> Tensor:
        return cells.ranks(rows[block], exact(block)).flatten()

    blocks = torch.split(queries, _MEASURED_TOGETHER)
    sorted_ranks = torch.cat([*parallel_map(ranks, blocks)]).sort().values
    return int(sorted_ranks[int(RECALL * (len(sorted_ranks) - 1))]) + 1


def _random_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` random indices of `rows`, or all, in random order."""
    return torch.randperm(len(rows), generator=generator)[:count].to(rows.device)


def _nearest(rows: Tensor, centres: Tensor, advance: Advance) -> Tensor:
    """Return the nearest centre (N,) of each row."""
    nearest = torch.empty(len(rows), dtype=torch.int64, device=rows.device)

    def assign(block: slice) -> None:
        nearest[block] = (rows[block] @ centres.T).argmax(dim=1)

    for _ in parallel_map(assign, row_blocks(len(rows), len(centres))):
        advance(0)
    return nearest
