from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from latte.toolkit.seeds import seed_from

numbers = st.lists(st.integers(0, 2**40), max_size=4)


@given(st.text(max_size=5), numbers, st.text(max_size=5), numbers)
def test_seed_depends_on_purpose_and_parts(
    purpose: str, purpose_numbers: list[int], other_purpose: str, other_numbers: list[int]
) -> None:
    same = (purpose, purpose_numbers) == (other_purpose, other_numbers)
    assert (
        seed_from(purpose, *purpose_numbers) == seed_from(other_purpose, *other_numbers)
    ) is same
    assert 0 <= seed_from(purpose, *purpose_numbers) < 2**63
