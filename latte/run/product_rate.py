"""How fast this machine multiplies large matrices: what a training's speed is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from latte.adapt.timing import wait_for

_SIDES = {"cpu": 2048, "cuda": 8192}
"""Large enough that nothing but the product counts."""
_REPEATS = 5


def product_rate(
    device: str,
    dtype: torch.dtype,
    *,
    clock: Callable[[], float] = time.perf_counter,
    side: int | None = None,
    inside: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> float:
    """Floating-point operations a second of a product of two square matrices, the best of five.

    `inside` is entered around each product, as for TF32. With `time.process_time` as the clock it
    is operations a second of CPU.
    """
    kind = torch.device(device).type
    side = side or _SIDES.get(kind, _SIDES["cpu"])
    factors = torch.randn(2, side, side, device=device).to(dtype)
    seconds = []
    for _ in range(_REPEATS):
        with inside():
            wait_for(device)
            start = clock()
            factors[0] @ factors[1]
            wait_for(device)
            seconds.append(clock() - start)
    return 2 * side**3 / max(min(seconds), 1e-9)
