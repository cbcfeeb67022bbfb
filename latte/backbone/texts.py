"""Encode texts without padding, or with as little padding as the text tower allows.

A text ends at the last token that affects its feature: the end-of-text token in a causal tower that
pools there, else the last token before the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from open_clip.hf_model import ClsLastHiddenStatePooler, ClsPooler, HFTextEncoder, MeanPooler
from open_clip.model import CLIP
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn import functional

from latte.backbone.packed import Packing, can_run, run_blocks, run_first_blocks
from latte.backbone.trunk import trained_blocks, trained_parameters

Tokenizer = Callable[[list[str]], Tensor]
TextPath = Literal["packed", "cut", "full"]

_MASKING_ARCHITECTURES = ("bert", "roberta", "xlm-roberta")
"""Hugging Face encoders in which padding affects neither attention nor token positions."""


class TokenCache:
    """Tokenizes texts, and caches the tokens of the last `capacity` distinct texts."""

    def __init__(self, tokenizer: Tokenizer, capacity: int = 65_536) -> None:
        self._tokenizer = tokenizer
        self._capacity = capacity
        self._rows: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return tokens (M, context length) of M > 0 distinct texts, truncated if necessary."""
        missing_texts = [text for text in texts if text not in self._rows]
        if missing_texts:
            self._rows.update(
                zip(missing_texts, self._tokenizer(missing_texts).unbind(), strict=True)
            )
        tokens = torch.stack([self._rows[text] for text in texts])
        while len(self._rows) > self._capacity:
            del self._rows[next(iter(self._rows))]
        return tokens


def count_cut(tokenizer: Any, texts: Sequence[str]) -> int:
    """Return the number of texts that a tokenizer of open_clip truncates.

    Each text is also tokenized with a context of one more token. If this changes more than the
    padding, the text is truncated.
    """
    if not texts:
        return 0
    tokens = tokenizer(list(texts))
    context = tokens.shape[1]
    longer_tokens = tokenizer(list(texts), context_length=context + 1)
    is_only_padded = (longer_tokens[:, :context] == tokens).all(dim=1) | (
        longer_tokens[:, 1:] == tokens
    ).all(dim=1)
    return int((~is_only_padded).sum())


def text_path_of(model: nn.Module) -> TextPath:
    """Return how this model's texts are padded.

    `packed`: not at all. `cut`: to the longest text of a forward pass. `full`: to the context
    length, for towers whose features may change with less padding.
    """
    text = _tower(model)
    if _stops_at_its_end(text):
        return "packed" if can_run(text.transformer) else "cut"
    return "cut" if _masks_padding(text) else "full"


def text_lengths(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return the length (M,) of each text in `tokens` (M, L).

    If texts must be padded to the context length, every length is L.
    """
    text = _tower(model)
    if _stops_at_its_end(text):
        pooling, end_token = _pooling(text)
        marks = tokens if pooling == "argmax" else (tokens == end_token).int()
        end_positions: Tensor = marks.argmax(dim=-1)
        return end_positions + 1
    context = tokens.shape[1]
    if _masks_padding(text):
        is_token = tokens != text.config.pad_token_id
        lengths: Tensor = (is_token * torch.arange(1, context + 1)).amax(dim=-1)
        return lengths.clamp_min(1)
    return torch.full((len(tokens),), context)


def text_trunk_is_constant(model: nn.Module, path: TextPath) -> bool:
    """Return True if all layers before the text projection are frozen and texts are not padded."""
    later_layers = ("visual.", "logit_", "text_projection", "text.text_projection")
    return path == "packed" and not any(trained_parameters(model, later_layers))


def frozen_text_blocks(model: nn.Module, path: TextPath) -> int:
    """Return the number of frozen text blocks before the first trained block.

    The output of these blocks can be cached. The number is 0 if texts are padded, if a layer before
    the blocks is trained, or if no block is trained.
    """
    if path != "packed":
        return 0
    prefix = "" if type(model) is CLIP else "text."
    later_layers = ("visual.", "logit_", f"{prefix}ln_final.", f"{prefix}text_projection")
    return min(trained_blocks(model, f"{prefix}transformer.resblocks.", later_layers), default=0)


def text_width(model: nn.Module) -> int:
    """Return the width W of the text tower, before the projection to the embedding."""
    return int(_tower(model).ln_final.normalized_shape[0])


def text_features(model: nn.Module, tokens: Tensor, lengths: Tensor, path: TextPath) -> Tensor:
    """Encode texts like `model.encode_text(tokens)`; return features (M, D), not normalised.

    `tokens` (M, L) are sorted by their numbers of tokens, `lengths` (M,). Both tensors are on the
    CPU, so that reading them does not wait for a GPU.
    """
    if path == "packed":
        return project_text(model, packed_states(model, tokens, lengths))
    device = next(model.parameters()).device
    longest_text = int(lengths[-1])
    tokens = tokens[:, :longest_text].to(device, non_blocking=True)
    text = _tower(model)
    if path == "full" or isinstance(text, HFTextEncoder):
        return model.encode_text(tokens, normalize=False)  # type: ignore[operator, no-any-return]
    states = text.token_embedding(tokens) + text.positional_embedding[:longest_text]
    states = text.transformer(states, attn_mask=text.attn_mask[:longest_text, :longest_text])
    end_positions = (lengths - 1).to(device, non_blocking=True)
    pooled_states = text.ln_final(
        states[torch.arange(len(end_positions), device=device), end_positions]
    )
    return project_text(model, pooled_states)


def packed_states(model: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Return the text tower's outputs (M, W) before the projection, without padding the texts."""
    return states_after_blocks(model, _embedded(model, tokens, lengths), lengths)


def packed_outputs(model: nn.Module, tokens: Tensor, lengths: Tensor, count: int) -> Tensor:
    """Return the outputs (T, W) of the first `count` text blocks, one row per token."""
    rows = _embedded(model, tokens, lengths)
    packing = _packing(lengths, rows.device)
    return run_first_blocks(_tower(model).transformer, rows, packing, count)


def states_after_blocks(model: nn.Module, rows: Tensor, lengths: Tensor, start: int = 0) -> Tensor:
    """Run the text blocks from index `start` and the final norm; return one row per text (M, W).

    `rows` (T, W) are the outputs of all earlier blocks, one row per token.
    """
    text = _tower(model)
    packing = _packing(lengths, rows.device)
    return text.ln_final(run_blocks(text.transformer, rows, packing, start))  # type: ignore[no-any-return]


def _embedded(model: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
    text, device = _tower(model), next(model.parameters()).device
    positions_in_text = torch.arange(tokens.shape[1]).expand_as(tokens)
    is_token = positions_in_text < lengths[:, None]
    token_ids, positions = (
        matrix[is_token].to(device, non_blocking=True) for matrix in (tokens, positions_in_text)
    )
    embeddings: Tensor = text.token_embedding(token_ids)
    return embeddings + functional.embedding(positions, text.positional_embedding)


def _packing(lengths: Tensor, device: torch.device) -> Packing:
    distinct_lengths, counts = torch.unique_consecutive(lengths, return_counts=True)
    groups = list(zip(counts.tolist(), distinct_lengths.tolist(), strict=True))
    last_rows = (lengths.cumsum(0) - 1).to(device, non_blocking=True)
    return Packing(groups, last_rows, causal=True)


def project_text(model: nn.Module, pooled_states: Tensor) -> Tensor:
    """Project outputs (M, W) of the text tower to features (M, D), which are not normalised."""
    projection = _tower(model).text_projection
    if projection is None:
        return pooled_states
    if isinstance(projection, nn.Linear):
        return projection(pooled_states)  # type: ignore[no-any-return]
    return pooled_states @ projection  # type: ignore[no-any-return]


def _tower(model: nn.Module) -> Any:
    return model if type(model) is CLIP else getattr(model, "text", None)


def _stops_at_its_end(text: Any) -> bool:
    """Return True if `text` is open_clip's causal transformer and pools the end-of-text token."""
    kind = type(text)
    if kind is TextTransformer:
        if text.cls_emb is not None or text.use_pad_mask or text.output_tokens:
            return False
    elif kind is not CLIP:
        return False
    if not hasattr(text.transformer, "batch_first"):  # another version of open_clip
        return False
    causal = text.attn_mask is not None and len(text.positional_embedding) == len(text.attn_mask)
    return causal and _pooling(text)[0] in ("argmax", "eos")


def _masks_padding(text: Any) -> bool:
    """Return True for Hugging Face encoders whose attention and pooling ignore padding tokens."""
    kind = type(text)
    return (
        kind is HFTextEncoder
        and text.config.model_type in _MASKING_ARCHITECTURES
        and isinstance(text.pooler, MeanPooler | ClsPooler | ClsLastHiddenStatePooler)
        and not text.output_tokens
    )


def _pooling(text: Any) -> tuple[str, int]:
    if isinstance(text, CLIP):
        return text.text_pool_type, text.text_eos_id
    return text.pool_type, text.eos_id
