"""What the fuzzer searches for, in small: readers of strangers' files raise nothing but LatteError.

`python -m fuzz TARGET` looks much further; what it finds is kept here.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS, attempt

FOUND = {
    "store": [
        b'{"schema": 1, "key": "dd7876c9bdd3720d24d8014b11171b10", "te}t": null, "sample": 0}\n',
    ],
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_and_every_finding_is_read_or_refused(name: str) -> None:
    for data in [*TARGETS[name].seeds(), *FOUND.get(name, [])]:
        attempt(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=15)
@given(number=st.integers(min_value=0, max_value=2**32))
def test_damaged_seeds_are_read_or_refused(name: str, number: int) -> None:
    draw = random.Random(number)
    data = bytearray(draw.choice(list(TARGETS[name].seeds())))
    for _ in range(draw.randint(1, 8)):
        if data:
            place = draw.randrange(len(data))
            if draw.random() < 0.3:
                del data[place : place + draw.randint(1, 40)]
            else:
                data[place] = draw.randrange(256)
    attempt(TARGETS[name], bytes(data))
