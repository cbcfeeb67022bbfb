"""Attention between the tokens of one sequence, the way that suits the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, Transformer, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

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


# The blocks of open_clip's own transformers, on sequences without padding.
#
# Sequences lie one after the other as the rows of a single matrix, so that no row is computed for
# padding; and the last block computes only the rows that are read after it. Both leave every
# result as it was: layer norms, projections and MLPs look at one row at a time, and attention
# looks at the rows of one sequence.


@dataclass(frozen=True)
class Packing:
    """Where N sequences lie in a matrix of T rows."""

    groups: Sequence[tuple[int, int]]
    """(how many, length) of neighbours of equal length; the products add up to T."""
    read: Tensor
    """(N,): the row of each sequence that is read in the end."""
    causal: bool
    """Rows see nothing behind them, and the row that is read is the last of its sequence."""


def can_run(transformer: nn.Module) -> bool:
    """Whether `run_blocks` knows every block of this transformer."""
    return (
        type(transformer) is Transformer
        and transformer.batch_first
        and all(_is_plain(block) for block in transformer.resblocks)
    )


def run_blocks(transformer: Any, states: Tensor, packing: Packing) -> Tensor:
    """Rows (T, W) through all blocks -> (N, W), the rows that are read.

    With `grad_checkpointing` a block keeps its input alone, and runs again on the way back.
    """
    *blocks, last = transformer.resblocks
    again = transformer.grad_checkpointing and torch.is_grad_enabled()
    for block in blocks:
        states = _run(_block, block, states, packing, again=again)
    return _run(_last_block, last, states, packing, again=again)


def _run(
    function: Callable[[Any, Tensor, Packing], Tensor],
    block: Any,
    states: Tensor,
    packing: Packing,
    *,
    again: bool,
) -> Tensor:
    if not again:
        return function(block, states, packing)
    return checkpoint(function, block, states, packing, use_reentrant=False)  # type: ignore[no-any-return]


def _block(block: Any, states: Tensor, packing: Packing) -> Tensor:
    attended = _attention(block.attn, block.ln_1(states), packing)
    return _behind_attention(block, states, attended)


def _last_block(block: Any, states: Tensor, packing: Packing) -> Tensor:
    attended = _attention_of_read(block.attn, block.ln_1(states), packing)
    return _behind_attention(block, states.index_select(0, packing.read), attended)


def _is_plain(block: nn.Module) -> bool:
    if type(block) is not ResidualAttentionBlock or hasattr(block, "ln_1_kv"):
        return False
    attention = block.attn
    return (
        type(attention) is nn.MultiheadAttention
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
        and attention.dropout == 0
    )


def _behind_attention(block: Any, states: Tensor, attended: Tensor) -> Tensor:
    states = states + block.ls_1(attended)
    return states + block.ls_2(block.mlp(block.ln_2(states)))  # type: ignore[no-any-return]


def _attention(attention: nn.MultiheadAttention, states: Tensor, packing: Packing) -> Tensor:
    """Every row (T, W) looks at its sequence."""
    projected = functional.linear(states, attention.in_proj_weight, attention.in_proj_bias)
    parts = []
    for part, (count, length) in _groups(projected, packing):
        queries, keys, values = _heads(part, count, length, 3, attention.num_heads)
        seen = attend(queries, keys, values, causal=packing.causal)
        parts.append(seen.transpose(1, 2).reshape(count * length, -1))
    return attention.out_proj(torch.cat(parts))  # type: ignore[no-any-return]


def _attention_of_read(
    attention: nn.MultiheadAttention, states: Tensor, packing: Packing
) -> Tensor:
    """Only the rows that are read (N, W) look at their sequences, which they see whole."""
    width, heads = states.shape[1], attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    assert bias is not None, "see `can_run`"
    read = states.index_select(0, packing.read)
    asking = functional.linear(read, weight[:width], bias[:width])
    asked = functional.linear(states, weight[width:], bias[width:])
    parts = []
    counts = [count for count, _ in packing.groups]
    own_groups = torch.split(asking, counts)
    for own, (part, (count, length)) in zip(own_groups, _groups(asked, packing), strict=True):
        (queries,) = _heads(own, count, 1, 1, heads)
        keys, values = _heads(part, count, length, 2, heads)
        parts.append(attend(queries, keys, values, causal=False).reshape(count, -1))
    return attention.out_proj(torch.cat(parts))  # type: ignore[no-any-return]


def _groups(rows: Tensor, packing: Packing) -> Sequence[tuple[Tensor, tuple[int, int]]]:
    parts = torch.split(rows, [count * length for count, length in packing.groups])
    return list(zip(parts, packing.groups, strict=True))


def _heads(rows: Tensor, count: int, length: int, kinds: int, heads: int) -> tuple[Tensor, ...]:
    """Rows (count * length, kinds * W) -> for each kind (count, heads, length, W / heads)."""
    return rows.view(count, length, kinds, heads, -1).permute(2, 0, 3, 1, 4).unbind()


# Image features of towers that read nothing but the class token in the end.


def reads_class_token(visual: Any) -> bool:
    """True for open_clip's own vision transformer where it pools at the class token."""
    kind = type(visual)
    return (
        kind is VisionTransformer
        and visual.pool_type == "tok"
        and visual.attn_pool is None
        and not visual.output_tokens
        and can_run(visual.transformer)
    )


def class_token_features(visual: Any, pixels: Tensor) -> Tensor:
    """Pixels (B, 3, S, S) -> features (B, D), not normalised, equal to `visual(pixels)`.

    The tower must pass `reads_class_token`. Its last block computes the class token alone.
    """
    states = visual._embeds(pixels)
    count, length, width = states.shape
    first = torch.arange(0, count * length, length, device=states.device)
    packing = Packing([(count, length)], first, causal=False)
    read = run_blocks(visual.transformer, states.reshape(count * length, width), packing)
    pooled: Tensor = visual.ln_post(read)
    return pooled if visual.proj is None else pooled @ visual.proj
