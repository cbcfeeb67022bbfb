"""Many short tuples of numbers side by side: 4 bytes a number, and 8 bytes a tuple."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


# The distinct questions of a plan, kept as columns: some 40 bytes each, and 4 an image shown.


SINGLE, SEPARATE, GRID = "single", "separate", "grid-1"
"""Layouts, as they enter keys. Number the grid anew when its geometry changes."""

_KEY_BYTES = 16


@dataclass(frozen=True)
class PlannedRequest:
    """One distinct question: what a text is stored under, and what it takes to ask."""

    key: str
    members: tuple[int, ...]
    """Rows of the training set, in the order shown."""
    prompt: str
    layout: str
    sample: int = 0
    """Counts the answers that are wanted to the same question."""


class Asked:
    """What one description asks, question by question, before equal questions are merged."""

    def __init__(self, shown: NDArray[numpy.integer], layout: str) -> None:
        """Questions about S subjects, each of them the images `shown` (S, size)."""
        self.shown = shown
        self.layout = layout
        self.keys = bytearray()
        self.prompts, self.samples, self.counts = array("i"), array("B"), array("i")

    def add(self, key: str, prompt: int, sample: int) -> None:
        """One question about the subject that is next; `prompt` numbers its words."""
        self.keys += bytes.fromhex(key)
        self.prompts.append(prompt)
        self.samples.append(sample)

    def end_subject(self, questions: int) -> None:
        """The last `questions` questions were all about the subject that was next."""
        self.counts.append(questions)


class Requests(Sequence[PlannedRequest]):
    """R distinct requests, made one by one when they are asked for."""

    def __init__(self, asked: Sequence[Asked], prompts: Sequence[str]) -> None:
        """Merge equal questions, in the order in which they first come."""
        self._prompts = tuple(prompts)
        keys = numpy.frombuffer(b"".join(one.keys for one in asked), numpy.uint8)
        keys = keys.reshape(-1, _KEY_BYTES)
        first, places = _distinct(keys)
        self._keys = keys[first]
        self._prompt = _picked([one.prompts for one in asked], numpy.int32, first)
        self._sample = _picked([one.samples for one in asked], numpy.uint8, first)
        self._layouts = tuple(dict.fromkeys(one.layout for one in asked))
        layouts = [self._layouts.index(one.layout) for one in asked]
        counts = [len(one.samples) for one in asked]
        self._layout = numpy.repeat(numpy.array(layouts, numpy.uint8), counts)[first]
        self._members = _members(asked, first)
        self._places = places

    def rows(self, asked: Sequence[Asked]) -> list[Ragged]:
        """For each of those that these were merged from: the requests about each subject."""
        ends = numpy.cumsum([len(one.samples) for one in asked])
        return [
            Ragged(self._places[end - len(one.samples) : end], numpy.cumsum(one.counts))
            for one, end in zip(asked, ends, strict=True)
        ]

    def key(self, index: int) -> str:
        """The key of request `index`."""
        key: bytes = self._keys[index].tobytes()
        return key.hex()

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> PlannedRequest: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PlannedRequest]: ...

    def __getitem__(self, index: int | slice) -> PlannedRequest | Sequence[PlannedRequest]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        return PlannedRequest(
            self.key(index),
            self._members[index],
            self._prompts[self._prompt[index]],
            self._layouts[self._layout[index]],
            int(self._sample[index]),
        )


def _distinct(keys: NDArray[numpy.uint8]) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Of keys (M, 16), where each of R distinct ones comes first (R,), ascending.

    Also the place (M,) of each key among the distinct ones.
    """
    halves = keys.view(numpy.uint64)
    order = numpy.lexsort((halves[:, 1], halves[:, 0]))
    new = numpy.ones(len(order), bool)
    new[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    # The sort is stable, so that the first of equal keys is the one that came first.
    first = order[new]
    rank = numpy.empty(len(first), numpy.int64)
    rank[first.argsort()] = numpy.arange(len(first))
    places = numpy.empty(len(order), numpy.int64)
    places[order] = rank[numpy.cumsum(new) - 1]
    return numpy.sort(first), places


def _picked(
    columns: Sequence[array[int]], kind: type[numpy.integer], rows: NDArray[numpy.int64]
) -> NDArray[numpy.integer]:
    """`rows` of all columns, one below the other."""
    parts = [numpy.zeros(0, kind), *(numpy.frombuffer(one, kind) for one in columns if one)]
    return numpy.concatenate(parts)[rows]


def _members(asked: Sequence[Asked], first: NDArray[numpy.int64]) -> Ragged:
    """The images shown in each of the questions `first` (R,) of all that are asked."""
    values, sizes, begin = [numpy.zeros(0, numpy.int32)], [numpy.zeros(0, numpy.int64)], 0
    for one in asked:
        subjects = numpy.repeat(numpy.arange(len(one.counts)), one.counts)
        mine = first[(first >= begin) & (first < begin + len(subjects))] - begin
        values.append(one.shown[subjects[mine]].astype(numpy.int32).reshape(-1))
        sizes.append(numpy.full(len(mine), one.shown.shape[1]))
        begin += len(subjects)
    return Ragged(numpy.concatenate(values), numpy.concatenate(sizes).cumsum())
