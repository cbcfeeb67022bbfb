"""Every reader on damaged inputs: what it refuses it names, and it ends with nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.fuzz.targets import TARGETS, attempt

FOUND = Path(__file__).parent / "found"
SLOW = {"recipe", "overrides", "schema"}
"""They load plugins' options and validate a whole recipe each time."""


def damaged(seeds: list[bytes]) -> SearchStrategy[bytes]:
    """A seed with some of its bytes changed, removed, repeated or put in."""

    @st.composite
    def build(draw: DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(seeds)))
        changes = random.Random(draw(st.integers(0, 2**32)))
        for _ in range(draw(st.integers(1, 4))):
            start = changes.randrange(len(data) + 1)
            end = min(len(data), start + changes.choice((0, 1, 1, 4, 40)))
            piece = changes.choice(
                (b"", bytes([changes.randrange(256)]), data[start:end] * 2, draw(PIECES))
            )
            data[start:end] = piece
        return bytes(data)

    return build()


PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [
            *(b"null", b"1e999", b"-1", b"[]", b"{}", b'""', b"\\ud800", b"\x00", b"../../x"),
            *(b"${NAME}", b"${", b"&a [*a]", b"!!python/object:os.system ", b"<<: ", b"\xff\xfe"),
            *(b"9" * 30, b"[" * 60, b"use: ", b"\n- ", b"\r", b"\x1b[2J", b"NaN", b"true"),
        ]
    ),
)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_refused_by_name(name: str) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=12 if name in SLOW else 40,
        derandomize=True,  # `python -m tests.fuzz` is for looking further
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    @given(damaged([*target.seeds()]) | st.binary(max_size=200))
    def check(data: bytes) -> None:
        attempt(target, data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_inputs_that_are_taken(name: str, tmp_path: Path) -> None:
    """Fuzzing that begins with what is refused would get nowhere."""
    accepted = 0
    for number, seed in enumerate(TARGETS[name].seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            TARGETS[name].run(seed, folder)
            accepted += 1
        except Exception:  # some seeds are there for the ways in which they are refused
            continue
    assert accepted >= 1


@pytest.mark.parametrize("path", sorted(FOUND.glob("*")), ids=lambda path: path.name)
def test_what_was_found_stays_mended(path: Path) -> None:
    attempt(TARGETS[path.name.partition("-")[0]], path.read_bytes())
