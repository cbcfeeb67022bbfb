"""Attention between the tokens of one sequence, the way that suits the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_HALF = (torch.bfloat16, torch.float16)


def attend(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    """Queries (N, H, Q, d), keys and values (N, H, L, d) -> (N, H, Q, d); causal needs Q = L.

    Torch's fused kernel, except where it would train in half precision on a CPU: there its
    backward pass takes twice to three times as long as the two products written out.
    """
    trains = torch.is_grad_enabled() and queries.requires_grad
    if trains and queries.device.type == "cpu" and queries.dtype in _HALF:
        return _written_out(queries, keys, values, causal=causal)
    return functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)


def _written_out(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    if causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu_(1)
        scores = scores.masked_fill(ahead, -torch.inf)
    weights: Tensor = scores.softmax(dim=-1)
    return weights @ values
