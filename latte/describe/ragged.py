"""Many short tuples of numbers side by side: 4 bytes a number, and 8 bytes a tuple."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy
from numpy.typing import NDArray


class Ragged(Sequence[tuple[int, ...]]):
    """A sequence of R tuples: of all `values` (M,), tuple i has those from `ends[i - 1]` on."""

    def __init__(self, values: NDArray[numpy.integer], ends: NDArray[numpy.integer]) -> None:
        self.values = values.astype(numpy.int32)
        self._bounds = numpy.concatenate([[0], ends]).astype(numpy.int64)

    @classmethod
    def even(cls, rows: NDArray[numpy.integer]) -> Ragged:
        """Tuples of one length: the rows of (R, size)."""
        count, size = rows.shape
        return cls(rows.reshape(-1), numpy.arange(1, count + 1) * size)

    @property
    def counts(self) -> NDArray[numpy.int64]:
        """(R,): how long each tuple is."""
        return numpy.diff(self._bounds)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, ...]]: ...

    def __getitem__(self, index: int | slice) -> tuple[int, ...] | Sequence[tuple[int, ...]]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return tuple(self.values[self._bounds[index] : self._bounds[index + 1]].tolist())

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """All tuples; some thousand at a time are taken out of the arrays."""
        for first in range(0, len(self), _AT_ONCE):
            bounds = self._bounds[first : first + _AT_ONCE + 1]
            values = self.values[bounds[0] : bounds[-1]].tolist()
            for start, end in pairwise((bounds - bounds[0]).tolist()):
                yield tuple(values[start:end])


_AT_ONCE = 8192
