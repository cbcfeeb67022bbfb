"""One process: nothing is exchanged, nothing is waited for, torch is not even loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from latte import distributed
from latte.distributed.watchdog import ENDED, EndedElsewhere, Lost, told
from latte.interfaces import LatteError


def test_alone_everything_is_its_own() -> None:
    rows = torch.rand(3, 2)
    assert (distributed.rank(), distributed.world_size(), distributed.is_main_process()) == (
        0,
        1,
        True,
    )
    assert distributed.share(rows) is rows
    assert distributed.all_gather_rows(rows, 3) is rows
    assert distributed.all_gather_object({"a": 1}) == [{"a": 1}]
    assert distributed.all_reduce([rows])[0] is rows
    assert distributed.any_process([True, False]) == [True, False]
    assert distributed.broadcast_tensors({"rows": rows})["rows"] is rows
    assert distributed.broadcast(lambda: 7) == 7
    distributed.barrier()


def test_torch_is_not_loaded() -> None:
    code = "import sys, latte.distributed, latte.cli.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "x", "WORLD_SIZE": "2"}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, distributed.Start(1, 2, 600.0)),
        ({"RANK": "1", "WORLD_SIZE": "2", "LATTE_PATIENCE": "5"}, distributed.Start(1, 2, 5.0)),
    ],
)
def test_torchrun_tells_who_a_process_is(
    environment: dict[str, str], expected: distributed.Start | None
) -> None:
    assert distributed.start_of(environment) == expected


@pytest.mark.parametrize("patience", ["0", "-1", "nan", "inf", "soon"])
def test_a_patience_that_is_none_is_refused(patience: str) -> None:
    with pytest.raises(LatteError, match="not a number of seconds"):
        distributed.start_of({"RANK": "1", "WORLD_SIZE": "2", "LATTE_PATIENCE": patience})


class Store:
    """As much of a `torch.distributed.Store` as an ending needs."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        if self.values.get(key, "") == expected:
            self.values[key] = value
        return self.values[key].encode()


class GoneStore(Store):
    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        raise RuntimeError("Connection reset by peer")


def test_the_first_that_fails_speaks_and_the_others_are_silent() -> None:
    store, mistake = Store(), LatteError("no such folder")
    assert told(store, 3, mistake) is mistake
    assert store.values == {ENDED: "3"}
    for other in (LatteError("no such folder"), Lost("closed"), KeyboardInterrupt()):
        assert isinstance(told(store, 0, other), EndedElsewhere)


@pytest.mark.parametrize("store", [Store(), GoneStore()])
def test_a_process_that_died_silently_is_told_by_who_notices_it_first(store: Store) -> None:
    found = told(store, 0, Lost("Connection closed by peer"))
    assert isinstance(found, LatteError)
    assert "another of its processes has ended" in str(found)
    assert "the same command goes on" in str(found)


def test_being_lost_is_nothing_that_a_component_swallows() -> None:
    assert not issubclass(Lost, Exception)
