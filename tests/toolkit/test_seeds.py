from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from latte.toolkit.seeds import seed_from

numbers = st.lists(st.integers(0, 2**40), max_size=4)


@given(st.text(max_size=5), numbers, st.text(max_size=5), numbers)
def test_seed_depends_on_purpose_and_parts(
    purpose: str, parts: list[int], other: str, others: list[int]
) -> None:
    same = (purpose, parts) == (other, others)
    assert (seed_from(purpose, *parts) == seed_from(other, *others)) is same
    assert 0 <= seed_from(purpose, *parts) < 2**63
