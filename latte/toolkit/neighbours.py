"""Nearest neighbours by cosine in bounded memory, and their graph as a sparse matrix."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from latte.toolkit.cells import search_in_cells

EXACT_ROWS = 2**15
"""Largest number of rows whose neighbours are found by exact search."""
BLOCK_BYTES = 2**27
"""Largest size of a block of similarities, in bytes."""


def nearest_neighbours(
    rows: Tensor,
    count: int,
    queries: Tensor | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
    advance: Callable[[int], object] | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the nearest other rows of each query row.

    Up to 32,768 rows, and for given `queries`, the search compares all rows and is exact. For more
    rows, that would take too long, so each row is compared with similar rows only. At least 95 % of
    the returned rows are then nearest ones; see `latte.toolkit.cells`.

    Similarities are computed in blocks of at most `block_bytes` (but at least one query), so memory
    does not grow with N². In the approximate search, each thread has such a block. Results are
    bit-identical on the same device with the same `block_bytes`.
    Among rows with equal cosines, torch's `topk` chooses deterministically, but not always the
    lowest index.

    Args:
        rows: unit rows (N, D), floating point.
        count: number of neighbours per query; at most N - 1 are returned.
        queries: int64 (Q,), indices of the query rows, on the device of `rows`; None: all N.
        block_bytes: largest size of a block of similarities, in bytes.
        advance: called after each block with its number of queries, to show progress; with 0 while
            an approximate search prepares.

    Returns:
        Cosines (Q, k) in the dtype of `rows` and row indices (Q, k) int64, nearest first, with
        k = min(count, N - 1). A row is never its own neighbour, but an identical copy of it may be.

    Example:
        >>> import torch
        >>> from latte.api import nearest_neighbours
        >>> rows = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> cosines, indices = nearest_neighbours(rows, 1)
        >>> indices.tolist()
        [[1], [0], [1]]
    """
    neighbours = max(0, min(count, len(rows) - 1))
    if queries is None and len(rows) > EXACT_ROWS and neighbours:
        return search_in_cells(
            rows,
            neighbours,
            lambda sample: nearest_neighbours(rows, neighbours, sample, block_bytes=block_bytes)[1],
            block_bytes,
            advance or (lambda rows: None),
        )
    query_count = len(rows) if queries is None else len(queries)
    cosines = rows.new_empty(query_count, neighbours)
    indices = torch.empty(query_count, neighbours, dtype=torch.int64, device=rows.device)
    size = max(1, block_bytes // max(1, len(rows) * rows.element_size()))
    for start in range(0, query_count, size):
        block = slice(start, min(query_count, start + size))
        if queries is None:
            query_indices, query_rows = (
                torch.arange(block.start, block.stop, device=rows.device),
                rows[block],
            )
        else:
            query_indices, query_rows = queries[block], rows[queries[block]]
        similarities = (query_rows @ rows.T).scatter_(1, query_indices.unsqueeze(1), -torch.inf)
        cosines[block], indices[block] = similarities.topk(neighbours, dim=1)
        if advance is not None:
            advance(len(query_indices))
    return cosines, indices


def nearest_rows(
    queries: Tensor, rows: Tensor, count: int, *, block_bytes: int = BLOCK_BYTES
) -> tuple[Tensor, Tensor]:
    """Find the nearest rows of each query by cosine, where queries are not among the rows.

    The search is exact. Similarities are computed in blocks of at most `block_bytes` (but at least
    one query).

    Args:
        queries: unit rows (Q, D), floating point.
        rows: unit rows (N, D) in the dtype and on the device of `queries`.
        count: number of rows per query; at most N are returned.
        block_bytes: largest size of a block of similarities, in bytes.

    Returns:
        Cosines (Q, k) in the dtype of `rows` and row indices (Q, k) int64, nearest first, with
        k = min(count, N).

    Example:
        >>> import torch
        >>> from latte.api import nearest_rows
        >>> images, texts = torch.tensor([[0.6, 0.8], [1.0, 0.0]]), torch.eye(2)
        >>> cosines, indices = nearest_rows(images, texts, 1)
        >>> indices.tolist()
        [[1], [0]]
    """
    neighbours = max(0, min(count, len(rows)))
    size = max(1, block_bytes // max(1, len(rows) * rows.element_size()))
    starts = range(0, max(1, len(queries)), size)
    blocks = [(queries[start : start + size] @ rows.T).topk(neighbours, dim=1) for start in starts]
    return torch.cat([block.values for block in blocks]), torch.cat(
        [block.indices for block in blocks]
    )


def symmetric_graph(weights: Tensor, indices: Tensor) -> Tensor:
    """Return the symmetric graph of k neighbours per row as a sparse CSR matrix (N, N).

    Entry (i, j) is w_ij + w_ji. If j is the neighbour `indices[i, m]`, w_ij is `weights[i, m]`;
    otherwise w_ij is 0.

    Args:
        weights: floating-point (N, k).
        indices: int64 (N, k), as `nearest_neighbours` returns them.

    Example:
        >>> import torch
        >>> from latte.api import symmetric_graph
        >>> symmetric_graph(torch.tensor([[1.0], [0.5]]), torch.tensor([[1], [0]])).to_dense()
        tensor([[0.0000, 1.5000],
                [1.5000, 0.0000]])
    """
    rows, neighbours = indices.shape
    row_indices = torch.arange(rows, device=indices.device).repeat_interleave(neighbours)
    neighbour_indices = indices.flatten()
    graph = torch.sparse_coo_tensor(
        torch.stack(
            [
                torch.cat([row_indices, neighbour_indices]),
                torch.cat([neighbour_indices, row_indices]),
            ]
        ),
        weights.flatten().repeat(2),
        (rows, rows),
        check_invariants=False,
    ).coalesce()
    row, column = graph.indices()
    row_ends = row.bincount(minlength=rows).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts = torch.cat([row_ends.new_zeros(1), row_ends])
        return torch.sparse_csr_tensor(
            starts, column, graph.values(), (rows, rows), check_invariants=False
        )
