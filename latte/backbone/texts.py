"""Texts through a text tower: tokenised once, and no longer than they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from open_clip.model import CLIP
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

Tokenizer = Callable[[list[str]], Tensor]


class TokenCache:
    """Remembers the tokens of the last `capacity` distinct texts."""

    def __init__(self, tokenizer: Tokenizer, capacity: int = 65_536) -> None:
        self._tokenizer = tokenizer
        self._capacity = capacity
        self._rows: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """M > 0 distinct texts -> tokens (M, context length), truncated with the end kept."""
        missing = [text for text in texts if text not in self._rows]
        if missing:
            self._rows.update(zip(missing, self._tokenizer(missing).unbind(), strict=True))
        tokens = torch.stack([self._rows[text] for text in texts])
        for text in list(self._rows)[: len(self._rows) - self._capacity]:
            del self._rows[text]
        return tokens


def can_cut(model: nn.Module) -> bool:
    """Whether tokens behind the pooled one cannot change a text's feature.

    True for open_clip's own transformer with a causal mask that pools at the end-of-text token.
    """
    text: Any = model if type(model) is CLIP else getattr(model, "text", None)
    if type(model) is not CLIP and (
        not isinstance(text, TextTransformer)
        or text.cls_emb is not None
        or text.use_pad_mask
        or text.output_tokens
    ):
        return False
    causal = text.attn_mask is not None and len(text.positional_embedding) == len(text.attn_mask)
    return causal and _pooling(text)[0] in ("argmax", "eos")


def cut_text_features(model: nn.Module, tokens: Tensor) -> Tensor:
    """Tokens (M, L) -> features (M, D), not normalised, of a model for which `can_cut` holds.

    Equal to `model.encode_text(tokens)`: with a causal mask the end-of-text token sees nothing
    behind it, so the batch ends at its longest text.
    """
    text: Any = model if type(model) is CLIP else model.text
    ends = _text_ends(text, tokens)
    length = int(ends.max()) + 1
    states = text.token_embedding(tokens[:, :length]) + text.positional_embedding[:length]
    states = text.transformer(states, attn_mask=text.attn_mask[:length, :length])
    pooled = text.ln_final(states[torch.arange(len(ends), device=ends.device), ends])
    projection = text.text_projection
    if projection is None:
        return pooled  # type: ignore[no-any-return]
    if isinstance(projection, nn.Linear):
        return projection(pooled)  # type: ignore[no-any-return]
    return pooled @ projection  # type: ignore[no-any-return]


def _text_ends(text: Any, tokens: Tensor) -> Tensor:
    pooling, end_token = _pooling(text)
    marks = tokens if pooling == "argmax" else (tokens == end_token).int()
    return marks.argmax(dim=-1)


def _pooling(text: Any) -> tuple[str, int]:
    if isinstance(text, CLIP):
        return text.text_pool_type, text.text_eos_id
    return text.pool_type, text.eos_id
