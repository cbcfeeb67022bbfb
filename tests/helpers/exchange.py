"""Check all collectives in each process: `torchrun -m tests.helpers.exchange [MODE]`."""

from __future__ import annotations

import hashlib
import os
import signal
import sys

import torch

from latte import distributed
from latte.distributed import watchdog
from latte.distributed.joining import joined


def exchange() -> None:
    rank, count = distributed.rank(), distributed.world_size()
    assert distributed.broadcast(lambda: [rank, "é"]) == [0, "é"]
    for total in (0, 1, 2, 5, 7):
        share = torch.tensor(list(distributed.share(range(total))), dtype=torch.float64)
        rows = distributed.all_gather_rows(share[:, None].expand(-1, 2), total)
        assert rows.tolist() == [[float(number)] * 2 for number in range(total)]
    large = distributed.all_gather_object({"of": rank, "text": "ü" * 100_000 * rank})
    assert [(message["of"], len(str(message["text"]))) for message in large] == [
        (number, 100_000 * number) for number in range(count)
    ]
    flags = [False, rank == count - 1, True]
    assert distributed.any_process(flags) == [False, True, True]
    tensors = [
        torch.full((2, 3), float(rank)),
        torch.tensor(1.0),
        torch.ones(2, dtype=torch.float64),
    ]
    sums = distributed.all_reduce(tensors)
    assert [tensor.shape for tensor in sums] == [tensor.shape for tensor in tensors]
    assert sums[0].unique().tolist() == [sum(range(count))]
    assert [float(sums[1]), sums[2].tolist()] == [count, [count] * 2]
    state = {"flags": torch.tensor([rank == 0, True]), "step": torch.tensor(rank)}
    broadcast_state = distributed.broadcast_tensors(state)
    assert (broadcast_state["flags"].tolist(), int(broadcast_state["step"])) == ([True, True], 0)


def main(mode: str) -> None:
    start = distributed.start_of(os.environ)
    assert start is not None
    with joined(start):
        exchange()
        if mode == "stuck":
            if distributed.rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            watchdog._GRACE_SECONDS = 0.5
            # A call that no signal interrupts, like a wait for a GPU.
            hashlib.pbkdf2_hmac("sha512", b"", b"", 2**31 - 1)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["exchange"])
