"""The distinct requests of a plan in arrays: about 40 bytes each, plus 4 per shown image.

A plan for a million images has at least a million requests. Therefore an object is built only when
a request is used.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_KEY_BYTES = 16


@dataclass(frozen=True)
class PlannedRequest:
    """One distinct request: the key of its answer, and all that is sent to the describer."""

    key: str
    members: tuple[int, ...]
    """Indices of training images, in the order shown."""
    prompt: str
    layout: str
    sample: int = 0
    """Number of the sample, from 0, if the same question is asked several times."""


class Ragged:
    """Tuples of integers in two arrays: 4 bytes per number and 8 per tuple."""

    def __init__(self) -> None:
        self._values, self._ends = array("i"), array("q", [0])

    def append(self, numbers: Iterable[int]) -> None:
        """Add a tuple of `numbers` from 0 to 2³¹ - 1."""
        self._values.extend(numbers)
        self._ends.append(len(self._values))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> tuple[int, ...]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return tuple(self._values[self._ends[index] : self._ends[index + 1]])

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return (self[index] for index in range(len(self)))


class Requests:
    """R distinct requests, in the order in which they are asked."""

    def __init__(self) -> None:
        self._keys = bytearray()
        self._members = Ragged()
        self._samples, self._prompts, self._layouts = array("i"), array("i"), array("i")
        self._texts: list[str] = []
        """All distinct prompts and layouts; the arrays hold their indices."""
        self._text_indices: dict[str, int] = {}

    def add(self, key: str, members: Iterable[int], prompt: str, layout: str, sample: int) -> None:
        """Add a request that is not there yet; see `PlannedRequest`."""
        self._keys += bytes.fromhex(key)
        self._members.append(members)
        self._prompts.append(self._text_index(prompt))
        self._layouts.append(self._text_index(layout))
        self._samples.append(sample)

    def key(self, index: int) -> str:
        """Return the key of request `index`."""
        return self._keys[index * _KEY_BYTES : (index + 1) * _KEY_BYTES].hex()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[PlannedRequest]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> PlannedRequest:
        return PlannedRequest(
            self.key(index),
            self._members[index],
            self._texts[self._prompts[index]],
            self._texts[self._layouts[index]],
            self._samples[index],
        )

    def _text_index(self, text: str) -> int:
        index = self._text_indices.setdefault(text, len(self._texts))
        if index == len(self._texts):
            self._texts.append(text)
        return index
