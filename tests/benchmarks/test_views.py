"""The benchmark of views counts bytes and operations on tensors without values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.__main__ import main
from benchmarks.views import MovedBytes, count


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


@pytest.mark.parametrize(
    ("work", "moved"),
    [
        (lambda: meta(10) + meta(10), 3 * 40),
        (lambda: meta(10).mul_(2), 2 * 40),
        (lambda: meta(10).view(2, 5).T, 0),
        (lambda: meta(10, 1) + meta(1, 1).expand(10, 1), 40 + 4 + 40),
        (lambda: meta(1000, 5)[meta(3, dtype=torch.int64)], 3 * 8 + 2 * 60),
        (
            lambda: meta(1000, 5).index_copy_(0, meta(3, dtype=torch.int64), meta(3, 5)),
            3 * 8 + 2 * 60,
        ),
        (lambda: torch.trunc(meta(10), out=meta(10)), 2 * 40),
    ],
)
def test_bytes_of_an_operation(work: Any, moved: int) -> None:
    with MovedBytes() as counted:
        work()
    assert counted.moved.total() == moved
    assert counted.operations.total() == (moved > 0)


def test_bytes_of_views_grow_with_their_number() -> None:
    few, many = count(64, 50, 40, 32), count(256, 50, 40, 32)
    # The draws differ, and so do the numbers of views that each operation changes.
    assert many.moved.total() == pytest.approx(4 * few.moved.total(), rel=0.1)
    assert many.operations == few.operations


def test_command_prints_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    main(["views", "--images", "64", "--photo", "50", "40", "--size", "32"])
    rows = [line.rsplit(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[1:]] == [
        *("crops, resized", "colours", "normalised", "random draws, copied", "together"),
    ]
    assert sum(int(row[1]) for row in rows[1:-1]) == int(rows[-1][1])
