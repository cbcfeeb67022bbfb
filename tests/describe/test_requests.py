"""Ragged rows in arrays give their tuples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.describe.requests import Ragged

rows = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4).map(tuple), max_size=20)


@given(rows)
def test_ragged_equals_the_sequence_of_its_tuples(expected: list[tuple[int, ...]]) -> None:
    ragged = Ragged()
    for row in expected:
        ragged.append(row)
    assert [*ragged] == expected
    assert [ragged[place] for place in range(len(ragged))] == expected
    with pytest.raises(IndexError):
        ragged[len(expected)]
