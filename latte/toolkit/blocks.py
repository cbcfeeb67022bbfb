"""Rows in blocks, so that N images times C classes never stand in memory at once."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_ENTRIES = 2**22
"""Entries of a block: 16 MiB in fp32."""


def rows_a_block(columns: int) -> int:
    """How many rows of `columns` entries make a block, at least one."""
    return max(1, BLOCK_ENTRIES // max(1, columns))


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of `rows` rows, in order, of which none has more than `BLOCK_ENTRIES` entries.

    A block has one row at least, whatever the number of `columns`.
    """
    size = rows_a_block(columns)
    for first in range(0, rows, size):
        yield slice(first, min(rows, first + size))
