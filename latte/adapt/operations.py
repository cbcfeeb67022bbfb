"""Counts floating-point operations in products, convolutions, attention and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def counting_operations() -> FlopCounterMode:
    """Inside of it every operation is counted; `get_total_flops()` tells how many there were."""
    aten: Any = torch.ops.aten
    return FlopCounterMode(
        display=False, custom_mapping={aten.convolution_backward: _convolution_backward}
    )


def _convolution_backward(
    gradient: Shape,
    given: Shape,
    weight: Shape,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    wanted: Sequence[bool],
    **ignored: Any,
) -> int:
    """The gradients of input and weights take as much as the way forward, each.

    Torch's own formula takes a grouped convolution for a dense one.
    """
    places = (given if transposed else gradient)[2:]
    forward = 2 * given[0] * prod(places) * prod(weight)
    return forward * sum(wanted[:2])
