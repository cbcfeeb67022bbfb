from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.describe.shards import Shard
from latte.interfaces import LatteError


@given(st.text(max_size=40), st.integers(1, 9))
def test_every_request_is_in_exactly_one_shard(key: str, count: int) -> None:
    key = key.encode("utf-8", "replace").decode()
    assert sum(Shard(index, count).holds(key) for index in range(1, count + 1)) == 1


def test_shards_are_of_similar_size() -> None:
    sizes = [sum(Shard(i, 4).holds(f"key {n}") for n in range(4000)) for i in range(1, 5)]
    assert all(900 < size < 1100 for size in sizes)


def test_shard_of_a_key_is_the_same_in_every_process() -> None:
    """Python's own hash differs from process to process."""
    held = [key for key in ("a", "b", "c", "d") if Shard(1, 2).holds(key)]
    assert held == ["d"]


@pytest.mark.parametrize("text", ["1/1", " 2 / 4 ", "4/4"])
def test_shards_are_written_as_i_of_n(text: str) -> None:
    assert str(Shard.parse(text)) == text.replace(" ", "")


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "1/0", "-1/4", "a/b", "1/2/3", "1.5/2"])
def test_malformed_shard_error_names_the_format(text: str) -> None:
    with pytest.raises(LatteError, match="is no shard") as caught:
        Shard.parse(text)
    assert "1/4" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RANK": "0", "WORLD_SIZE": "4"}, Shard(1, 4)),
        ({"RANK": "3", "WORLD_SIZE": "4"}, Shard(4, 4)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "0"}, None),
        ({"WORLD_SIZE": "4"}, None),
        ({"RANK": "x", "WORLD_SIZE": "4"}, None),
        ({}, None),
    ],
)
def test_torchrun_gives_each_process_its_shard(
    environment: dict[str, str], expected: Shard | None
) -> None:
    assert Shard.of_torchrun(environment) == expected
