"""Attention of sequences of different lengths by torch's plain attention, in any dtype."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention

from latte.backbone import varlen


def attend_plainly(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """Return what torch's `varlen_attn` returns for the same arguments; it needs no GPU."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert window_size in ((-1, -1), (-1, 0))
    queries, keys = cu_seq_q.tolist(), cu_seq_k.tolist()
    assert (max_q, max_k) == (_longest(queries), _longest(keys))
    assert (queries[-1], keys[-1]) == (len(query), len(key))
    parts, first, start = [], 0, 0
    for (asked, seen), group in itertools.groupby(
        zip(_lengths(queries), _lengths(keys), strict=True)
    ):
        count = len([*group])
        rows, others = slice(first, first + count * asked), slice(start, start + count * seen)
        heads = (query[rows], key[others], value[others])
        attended = scaled_dot_product_attention(
            *(each.unflatten(0, (count, -1)).transpose(1, 2) for each in heads),
            is_causal=window_size == (-1, 0),
        )
        parts.append(attended.transpose(1, 2).flatten(0, 1))
        first, start = rows.stop, others.stop
    return torch.cat(parts)


def _lengths(boundaries: list[int]) -> list[int]:
    return [end - start for start, end in itertools.pairwise(boundaries)]


def _longest(boundaries: list[int]) -> int:
    return max(_lengths(boundaries))


@dataclass
class Calls:
    """The number of queries of each call of the kernel."""

    queries: list[int] = field(default_factory=list)


def replace_kernel(patch: pytest.MonkeyPatch, *dtypes: torch.dtype) -> Calls:
    """Replace torch's kernel, also for passes in `dtypes`; return its later calls."""
    calls = Calls()

    def counted(query: Tensor, *others: object, **named: object) -> Tensor:
        calls.queries.append(len(query))
        inspect.signature(varlen_attn).bind(query, *others, **named)
        return attend_plainly(query, *others, **named)  # type: ignore[arg-type]

    kernel: Callable[[], Callable[..., Tensor]] = lambda: counted  # noqa: E731
    patch.setattr(varlen, "kernel", kernel)
    patch.setattr(varlen, "DTYPES", (*varlen.DTYPES, *dtypes))
    return calls
