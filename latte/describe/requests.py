"""Compact storage of the requests to a describer: about 40 bytes each, plus 4 per shown image.

There may be millions of requests, so an object is built only when a request is used.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy
from numpy.typing import NDArray

_KEY_BYTES = 16
_CHUNK = 8192


@dataclass(frozen=True)
class PlannedRequest:
    """One distinct request to a describer, and the key under which its answer is stored."""

    key: str
    members: tuple[int, ...]
    """Indices of the shown training images, in the order in which the describer sees them."""
    prompt: str
    layout: str
    sample: int = 0
    """Index (from 0) of the answer if the same question is asked several times."""


class DescriptionQuestions:
    """The questions of one description, before equal questions are merged."""

    def __init__(self, image_rows: NDArray[numpy.integer], layout: str) -> None:
        """Start without questions. `image_rows` (S, size) indexes the images of S subjects."""
        self.image_rows = image_rows
        self.layout = layout
        self.keys: bytearray = bytearray()
        self.prompts: array[int] = array("i")
        self.samples: array[int] = array("B")
        self.counts: array[int] = array("i")
        """Number of questions about each subject."""

    def add(self, key: str, prompt: int, sample: int) -> None:
        """Add a question about the current image or group; `prompt` is the index of its prompt."""
        self.keys += bytes.fromhex(key)
        self.prompts.append(prompt)
        self.samples.append(sample)


class Requests:
    """Sequence of R distinct requests; a `PlannedRequest` is built when it is accessed."""

    def __init__(
        self, question_sets: Sequence[DescriptionQuestions], prompts: Sequence[str]
    ) -> None:
        """Merge equal questions of all descriptions; keep the order of their first occurrence."""
        self._prompts = tuple(prompts)
        keys = numpy.frombuffer(
            b"".join(questions.keys for questions in question_sets), numpy.uint8
        )
        keys = keys.reshape(-1, _KEY_BYTES)
        first_rows, self._places = _distinct(keys)
        self._keys = keys[first_rows]
        self._prompt = _picked(
            [questions.prompts for questions in question_sets], numpy.int32, first_rows
        )
        self._sample = _picked(
            [questions.samples for questions in question_sets], numpy.uint8, first_rows
        )
        self._layouts = tuple(dict.fromkeys(questions.layout for questions in question_sets))
        layouts = [self._layouts.index(questions.layout) for questions in question_sets]
        counts = [len(questions.samples) for questions in question_sets]
        self._layout = numpy.repeat(numpy.array(layouts, numpy.uint8), counts)[first_rows]
        self._members = _members(question_sets, first_rows)

    def rows(self, question_sets: Sequence[DescriptionQuestions]) -> list[Ragged]:
        """Return, for each set of questions, the indices of requests about each subject.

        A subject is an image or a group of images.
        """
        ends = numpy.cumsum([len(questions.samples) for questions in question_sets])
        return [
            Ragged(self._places[end - len(questions.samples) : end], numpy.cumsum(questions.counts))
            for questions, end in zip(question_sets, ends, strict=True)
        ]

    def key(self, index: int) -> str:
        """Return the key under which the answer to request `index` is stored."""
        key: bytes = self._keys[index].tobytes()
        return key.hex()

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[PlannedRequest]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> PlannedRequest:
        prompt, layout = self._prompts[self._prompt[index]], self._layouts[self._layout[index]]
        members, sample = self._members[index], int(self._sample[index])
        return PlannedRequest(self.key(index), members, prompt, layout, sample)


def _distinct(keys: NDArray[numpy.uint8]) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Find the R distinct rows of `keys` (M, 16); return two index arrays.

    The first array (R,) has, in ascending order, the row at which each distinct key occurs first.
    The second array (M,) has for each row of `keys` the position of its key in the first array.
    """
    halves = keys.view(numpy.uint64)
    order = numpy.lexsort((halves[:, 1], halves[:, 0]))
    is_new = numpy.ones(len(order), bool)
    is_new[1:] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1)
    # The sort is stable, so this is the first occurrence of each key.
    first_rows = order[is_new]
    rank = numpy.empty(len(first_rows), numpy.int64)
    rank[first_rows.argsort()] = numpy.arange(len(first_rows))
    places = numpy.empty(len(order), numpy.int64)
    places[order] = rank[numpy.cumsum(is_new) - 1]
    return numpy.sort(first_rows), places


def _picked(
    columns: Sequence[array[int]], kind: type[numpy.integer], rows: NDArray[numpy.int64]
) -> NDArray[numpy.integer]:
    arrays = [
        numpy.zeros(0, kind),
        *(numpy.frombuffer(column, kind) for column in columns if column),
    ]
    return numpy.concatenate(arrays)[rows]


def _members(
    question_sets: Sequence[DescriptionQuestions], first_rows: NDArray[numpy.int64]
) -> Ragged:
    values, sizes, begin = [numpy.zeros(0, numpy.int32)], [numpy.zeros(0, numpy.int64)], 0
    for questions in question_sets:
        subjects = numpy.repeat(numpy.arange(len(questions.counts)), questions.counts)
        rows = first_rows[(first_rows >= begin) & (first_rows < begin + len(subjects))] - begin
        values.append(questions.image_rows[subjects[rows]].astype(numpy.int32).reshape(-1))
        sizes.append(numpy.full(len(rows), questions.image_rows.shape[1]))
        begin += len(subjects)
    return Ragged(numpy.concatenate(values), numpy.concatenate(sizes).cumsum())


class Ragged:
    """Sequence of R integer tuples of different lengths, stored in two arrays.

    It takes 4 bytes per number and 8 bytes per tuple. Tuple i is `values[ends[i - 1]:ends[i]]`.
    """

    def __init__(self, values: NDArray[numpy.integer], ends: NDArray[numpy.integer]) -> None:
        self.values: NDArray[numpy.int32] = values.astype(numpy.int32)
        self._bounds = numpy.concatenate([[0], ends]).astype(numpy.int64)

    @classmethod
    def even(cls, rows: NDArray[numpy.integer]) -> Ragged:
        """Convert the rows of an array (R, size) to a sequence of R tuples."""
        count, size = rows.shape
        return cls(rows.reshape(-1), numpy.arange(1, count + 1) * size)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, index: int) -> tuple[int, ...]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return tuple(self.values[self._bounds[index] : self._bounds[index + 1]].tolist())

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Yield all tuples; the arrays are converted in chunks, which is faster."""
        for chunk_start in range(0, len(self), _CHUNK):
            bounds = self._bounds[chunk_start : chunk_start + _CHUNK + 1]
            values = self.values[bounds[0] : bounds[-1]].tolist()
            for start, end in pairwise((bounds - bounds[0]).tolist()):
                yield tuple(values[start:end])
