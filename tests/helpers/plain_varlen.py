"""Attention of sequences of different lengths, one sequence after the other, in any dtype."""

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


def attend_one_by_one(
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
    parts = []
    for one, other in zip(itertools.pairwise(queries), itertools.pairwise(keys), strict=True):
        heads = (query[slice(*one)], key[slice(*other)], value[slice(*other)])
        seen = scaled_dot_product_attention(
            *(each.transpose(0, 1) for each in heads), is_causal=window_size == (-1, 0)
        )
        parts.append(seen.transpose(0, 1))
    return torch.cat(parts)


def _longest(boundaries: list[int]) -> int:
    return max(end - start for start, end in itertools.pairwise(boundaries))


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
        return attend_one_by_one(query, *others, **named)  # type: ignore[arg-type]

    kernel: Callable[[], Callable[..., Tensor]] = lambda: counted  # noqa: E731
    patch.setattr(varlen, "kernel", kernel)
    patch.setattr(varlen, "DTYPES", (*varlen.DTYPES, *dtypes))
    return calls
