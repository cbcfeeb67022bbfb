"""Run open_clip's own transformers on packed sequences, which have no padding.

All sequences together form one matrix with one row per token. The last block computes only the rows
that later layers read. Results do not change.
"""

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
    """Return attention outputs (N, H, Q, d) of queries (N, H, Q, d), keys, values (N, H, L, d).

    Causal attention requires Q = L. Training in half precision on a CPU uses two matrix products
    instead of torch's fused kernel, whose backward pass takes two to three times as long.
    """
    trains = torch.is_grad_enabled() and queries.requires_grad
    if trains and queries.device.type == "cpu" and queries.dtype in _HALF:
        return _as_products(queries, keys, values, causal=causal)
    return functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)


def _as_products(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    if causal:
        is_later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu_(1)
        scores = scores.masked_fill(is_later, -torch.inf)
    weights: Tensor = scores.softmax(dim=-1)
    return weights @ values


@dataclass(frozen=True)
class Packing:
    """Positions of N sequences in a matrix of T rows, one row per token."""

    groups: Sequence[tuple[int, int]]
    """One pair (count, length) per group of adjacent sequences of equal length."""
    read: Tensor
    """(N,): for each sequence, the index of the row that is used after the last block."""
    causal: bool
    """True if no row attends to later rows; `read` must then be the last row of each sequence."""


def can_run(transformer: nn.Module) -> bool:
    """Return True if `run_blocks` supports every block of this transformer."""
    return (
        type(transformer) is Transformer
        and bool(getattr(transformer, "batch_first", False))
        and all(_is_plain(block) for block in transformer.resblocks)
    )


def run_blocks(transformer: Any, states: Tensor, packing: Packing, start: int = 0) -> Tensor:
    """Run `states` (T, W) through the blocks; return one output row per sequence (N, W).

    `packing.read` says which row of each sequence is returned. `states` are the outputs of the
    first `start` blocks; only later blocks are run. If the transformer's `grad_checkpointing` is
    true, each block stores only its input.
    """
    *blocks, last_block = transformer.resblocks[start:]
    recompute = transformer.grad_checkpointing and torch.is_grad_enabled()
    for block in blocks:
        states = _run(_block, block, states, packing, recompute=recompute)
    return _run(_last_block, last_block, states, packing, recompute=recompute)


def run_first_blocks(transformer: Any, states: Tensor, packing: Packing, count: int) -> Tensor:
    """Run rows (T, W) through the first `count` blocks; return the outputs (T, W) of all rows."""
    for block in transformer.resblocks[:count]:
        states = _block(block, states, packing)
    return states


def starts_of(lengths: Tensor) -> Tensor:
    """Return the index (N,) of each packed sequence's first row; `lengths` (N,) counts its rows."""
    return lengths.cumsum(0) - lengths


def rows_of(starts: Tensor, lengths: Tensor) -> Tensor:
    """Return the indices of all rows of M packed sequences, one sequence after another.

    `starts` (M,) is the index of each sequence's first row, `lengths` (M,) its number of rows. All
    tensors are int64, on the CPU.
    """
    shifts = starts - starts_of(lengths)
    return torch.arange(int(lengths.sum())) + shifts.repeat_interleave(lengths)


def _run(
    function: Callable[[Any, Tensor, Packing], Tensor],
    block: Any,
    states: Tensor,
    packing: Packing,
    *,
    recompute: bool,
) -> Tensor:
    if not recompute:
        return function(block, states, packing)
    return checkpoint(function, block, states, packing, use_reentrant=False)  # type: ignore[no-any-return]


def _block(block: Any, states: Tensor, packing: Packing) -> Tensor:
    attention_outputs = _attention(block.attn, block.ln_1(states), packing)
    return _after_attention(block, states, attention_outputs)


def _last_block(block: Any, states: Tensor, packing: Packing) -> Tensor:
    attention_outputs = _attention_of_read(block.attn, block.ln_1(states), packing)
    return _after_attention(block, states.index_select(0, packing.read), attention_outputs)


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


def _after_attention(block: Any, states: Tensor, attention_outputs: Tensor) -> Tensor:
    states = states + block.ls_1(attention_outputs)
    return states + block.ls_2(block.mlp(block.ln_2(states)))  # type: ignore[no-any-return]


def _attention(attention: nn.MultiheadAttention, states: Tensor, packing: Packing) -> Tensor:
    projected_states = functional.linear(states, attention.in_proj_weight, attention.in_proj_bias)
    outputs = []
    for rows, (count, length) in _groups(projected_states, packing):
        queries, keys, values = _heads(rows, count, length, 3, attention.num_heads)
        output = attend(queries, keys, values, causal=packing.causal)
        outputs.append(output.transpose(1, 2).reshape(count * length, -1))
    return attention.out_proj(torch.cat(outputs))  # type: ignore[no-any-return]


def _attention_of_read(
    attention: nn.MultiheadAttention, states: Tensor, packing: Packing
) -> Tensor:
    """Return the attention outputs (N, W) of one row per sequence (`packing.read`)."""
    width, heads = states.shape[1], attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    assert bias is not None, "see `can_run`"
    read_states = states.index_select(0, packing.read)
    projected_queries = functional.linear(read_states, weight[:width], bias[:width])
    projected_keys_values = functional.linear(states, weight[width:], bias[width:])
    outputs = []
    counts = [count for count, _ in packing.groups]
    query_groups = torch.split(projected_queries, counts)
    for query_group, (key_value_group, (count, length)) in zip(
        query_groups, _groups(projected_keys_values, packing), strict=True
    ):
        (queries,) = _heads(query_group, count, 1, 1, heads)
        keys, values = _heads(key_value_group, count, length, 2, heads)
        outputs.append(attend(queries, keys, values, causal=False).reshape(count, -1))
    return attention.out_proj(torch.cat(outputs))  # type: ignore[no-any-return]


def _groups(rows: Tensor, packing: Packing) -> Sequence[tuple[Tensor, tuple[int, int]]]:
    group_rows = torch.split(rows, [count * length for count, length in packing.groups])
    return list(zip(group_rows, packing.groups, strict=True))


def _heads(rows: Tensor, count: int, length: int, kinds: int, heads: int) -> tuple[Tensor, ...]:
    """Split `rows` (count * length, kinds * W) into attention heads.

    Returns `kinds` tensors (count, heads, length, W / heads), for example keys and values.
    """
    return rows.view(count, length, kinds, heads, -1).permute(2, 0, 3, 1, 4).unbind()


def reads_class_token(visual: Any) -> bool:
    """Return True if `visual` is open_clip's own vision transformer and outputs the class token."""
    return (
        is_vision_transformer(visual)
        and visual.pool_type == "tok"
        and visual.attn_pool is None
        and not visual.output_tokens
        and hasattr(visual, "_embeds")
        and can_run(visual.transformer)
    )


def is_vision_transformer(visual: Any) -> bool:
    """Return True if `visual` is open_clip's own vision transformer."""
    return type(visual) is VisionTransformer


def class_token_of(visual: Any, states: Tensor, start: int = 0) -> Tensor:
    """Run `states` (B, L, W) through the blocks from index `start`; return class tokens (B, W)."""
    rows, packing = _image_rows(states)
    return visual.ln_post(run_blocks(visual.transformer, rows, packing, start))  # type: ignore[no-any-return]


def token_states(visual: Any, pixels: Tensor, count: int) -> Tensor:
    """Return the outputs (B, L, W) of the first `count` image blocks, for all L tokens."""
    states = visual._embeds(pixels)
    rows, packing = _image_rows(states)
    return run_first_blocks(visual.transformer, rows, packing, count).view(states.shape)


def _image_rows(states: Tensor) -> tuple[Tensor, Packing]:
    """Return `states` (B, L, W) as rows (B * L, W), with a `Packing` that reads class tokens."""
    count, length, width = states.shape
    class_token_rows = torch.arange(0, count * length, length, device=states.device)
    return states.reshape(count * length, width), Packing(
        [(count, length)], class_token_rows, causal=False
    )
