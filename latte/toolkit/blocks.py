"""Split rows into blocks of bounded size, so that no whole (N, C) tensor is in memory."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_ENTRIES = 2**22
"""Largest number of entries per block, which take 16 MiB in fp32."""


def rows_per_block(columns: int) -> int:
    """Return how many rows of `columns` entries fit into a block of at most 2**22 entries.

    The result is at least 1.

    Example:
        >>> from latte.api import rows_per_block
        >>> rows_per_block(columns=1000)
        4194
    """
    return max(1, BLOCK_ENTRIES // max(1, columns))


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices that split `rows` rows, in order, into blocks of at most 2**22 entries.

    A block has at least one row, even if a single row has more entries.

    Example:
        >>> from latte.api import row_blocks
        >>> [(block.start, block.stop) for block in row_blocks(rows=10_000, columns=1000)]
        [(0, 4194), (4194, 8388), (8388, 10000)]
    """
    size = rows_per_block(columns)
    for start in range(0, rows, size):
        yield slice(start, min(rows, start + size))
