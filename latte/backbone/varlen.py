"""Attention in one call for packed sequences (concatenated without padding) of different lengths.

This module has not been tested on a GPU: tests replace torch's kernel `varlen_attn`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from latte.interfaces import LatteError

DTYPES = (torch.bfloat16, torch.float16)
"""The dtypes that torch's kernel supports; other dtypes need one call per text length."""
_WIDEST_HEAD = 256
_HEADS_ARE_MULTIPLES_OF = 8
_CAUSAL = (-1, 0)
"""Keys to which a query attends: the number before its position (-1 means all), and after it."""
_KEY = "train.text_attention"


@dataclass(frozen=True)
class Boundaries:
    """Positions of N packed sequences in a matrix of rows, for torch's kernel."""

    rows: Tensor
    """(N + 1,) int32: the index of each sequence's first row, then the number of all rows."""
    reads: Tensor
    """(N + 1,) int32: the numbers 0 to N, for calls with one query per sequence."""
    longest: int


def boundaries_of(lengths: Tensor, device: torch.device) -> Boundaries:
    """Return the positions of N packed sequences from their `lengths` (N,), a tensor on the CPU."""
    rows = torch.zeros(len(lengths) + 1, dtype=torch.int32)
    rows[1:] = lengths.cumsum(0)
    reads = torch.arange(len(lengths) + 1, dtype=torch.int32, device=device)
    return Boundaries(rows.to(device, non_blocking=True), reads, int(lengths.max()))


def attend_all(projected: Tensor, heads: int, boundaries: Boundaries, *, causal: bool) -> Tensor:
    """Return attention outputs (T, W); each row attends to the rows of its own sequence.

    `projected` (T, 3 W) are the queries, keys and values of all rows side by side.
    """
    queries, keys, values = projected.view(len(projected), 3, heads, -1).unbind(1)
    rows, longest = boundaries.rows, boundaries.longest
    window = _CAUSAL if causal else (-1, -1)
    seen: Tensor = kernel()(queries, keys, values, rows, rows, longest, longest, window_size=window)
    return seen.reshape(len(projected), -1)


def attend_read(asking: Tensor, asked: Tensor, heads: int, boundaries: Boundaries) -> Tensor:
    """Return attention outputs (N, W): one query per sequence attends to all rows of its sequence.

    `asking` (N, W) holds the queries, `asked` (T, 2 W) the keys and values of all rows side by
    side.
    """
    queries = asking.view(len(asking), heads, -1)
    keys, values = asked.view(len(asked), 2, heads, -1).unbind(1)
    seen: Tensor = kernel()(
        queries, keys, values, boundaries.reads, boundaries.rows, 1, boundaries.longest
    )
    return seen.reshape(len(asking), -1)


@cache
def kernel() -> Callable[..., Any]:
    """Return torch's kernel `varlen_attn`, whose import takes seconds.

    Raises `LatteError` if this version of torch has no such kernel.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        raise _too_old() from None
    if "window_size" not in inspect.signature(varlen_attn).parameters:
        raise _too_old()
    return varlen_attn


def check_device(device: torch.device) -> None:
    """Raise `LatteError` unless the installed torch and `device` support the kernel."""
    if device.type != "cuda" or torch.version.cuda is None:
        raise _refusal("`varlen` needs a CUDA GPU of Nvidia; this run is on another device")
    if torch.cuda.get_device_capability(device)[0] < 8:
        raise _refusal("`varlen` needs a GPU since Ampere (compute capability 8.0)")
    kernel()


def check_heads(width: int, heads: int) -> None:
    """Raise `LatteError` if the kernel does not support the width of the attention heads."""
    each = width // heads
    if each % _HEADS_ARE_MULTIPLES_OF or each > _WIDEST_HEAD:
        raise _refusal(
            f"`varlen` needs attention heads whose width is a multiple of {_HEADS_ARE_MULTIPLES_OF}"
            f" and at most {_WIDEST_HEAD}; this text tower has heads of width {each}"
        )


def _refusal(what: str) -> LatteError:
    return LatteError(what, where=_KEY, hint="write `text_attention: by_length`")


def _too_old() -> LatteError:
    return _refusal(f"torch {torch.__version__} has no kernel for sequences of different lengths")
