"""A single process exchanges nothing, waits for nothing and does not import torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from latte import distributed
from latte.distributed.watchdog import ENDED, EndedElsewhere, PeerLost, error_to_report
from latte.interfaces import LatteError


def test_single_process_functions_return_their_input() -> None:
    rows = torch.rand(3, 2)
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.is_main_process()
    assert distributed.share(rows) is rows
    assert distributed.all_gather_rows(rows, 3) is rows
    assert distributed.all_gather_object({"a": 1}) == [{"a": 1}]
    assert distributed.all_reduce([rows])[0] is rows
    assert distributed.any_process([True, False]) == [True, False]
    assert distributed.broadcast_tensors({"rows": rows})["rows"] is rows
    assert distributed.broadcast(lambda: 7) == 7
    distributed.barrier()


def test_importing_distributed_does_not_import_torch() -> None:
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
def test_start_of_reads_the_environment_of_torchrun(
    environment: dict[str, str], expected: distributed.Start | None
) -> None:
    assert distributed.start_of(environment) == expected


@pytest.mark.parametrize("patience", ["0", "-1", "nan", "inf", "soon"])
def test_invalid_patience_raises_error(patience: str) -> None:
    with pytest.raises(LatteError, match="not a number of seconds"):
        distributed.start_of({"RANK": "1", "WORLD_SIZE": "2", "LATTE_PATIENCE": patience})


class Store:
    """The part of a `torch.distributed.Store` that `error_to_report` uses."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        if self.values.get(key, "") == expected:
            self.values[key] = value
        return self.values[key].encode()


class GoneStore(Store):
    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        raise RuntimeError("Connection reset by peer")


def test_only_the_first_process_to_fail_reports_its_error() -> None:
    store, mistake = Store(), LatteError("no such folder")
    assert error_to_report(store, 3, mistake) is mistake
    assert store.values == {ENDED: "3"}
    for later_error in (LatteError("no such folder"), PeerLost("closed"), KeyboardInterrupt()):
        assert isinstance(error_to_report(store, 0, later_error), EndedElsewhere)


@pytest.mark.parametrize("store", [Store(), GoneStore()])
def test_dead_peer_is_reported_by_the_first_process_to_notice(store: Store) -> None:
    reported = error_to_report(store, 0, PeerLost("Connection closed by peer"))
    assert isinstance(reported, LatteError)
    assert "another of its processes has ended" in str(reported)
    assert "the same command goes on" in str(reported)


def test_peer_lost_is_not_caught_by_except_exception() -> None:
    assert not issubclass(PeerLost, Exception)
