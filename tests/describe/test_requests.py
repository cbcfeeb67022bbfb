"""Ragged rows in arrays give their tuples."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.describe.requests import Ragged

rows = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4).map(tuple), max_size=20)


@given(rows)
def test_ragged_equals_the_sequence_of_its_tuples(expected: list[tuple[int, ...]]) -> None:
    values = numpy.array([value for row in expected for value in row], numpy.int64)
    ragged = Ragged(values, numpy.cumsum([len(row) for row in expected]))
    assert [*ragged] == expected
    assert [ragged[place] for place in range(len(ragged))] == expected


def test_ragged_even_has_the_rows_of_a_matrix() -> None:
    ragged = Ragged.even(numpy.arange(6).reshape(3, 2))
    assert [*ragged] == [(0, 1), (2, 3), (4, 5)]
    with pytest.raises(IndexError):
        ragged[3]
