"""The loss of a batch: several answers share one picture's prefix, which is computed once."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .batches import Batch
from .model import IMAGE, IMAGE_TOKENS

IGNORE = -100
CLASS_WEIGHT = 3.0


def prefix_ids(processor: Any, prompt: str, images: int) -> list[int]:
    """Token ids of the question as the processor would write it."""
    content = [{"type": "image"}] * images + [{"type": "text", "text": prompt}]
    text: str = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    ids: list[int] = processor.tokenizer(text.replace(IMAGE, IMAGE * IMAGE_TOKENS))["input_ids"]
    return ids


def text_ids(processor: Any, text: str) -> list[int]:
    """Ids of an answer, class marks as their single tokens."""
    parts = re.split("\ue000(\\d+)\ue001", text)
    ids: list[int] = []
    for place, part in enumerate(parts):
        if place % 2:
            ids.append(processor.class_ids[int(part)])
        elif part:
            ids += processor.bare(part)
    return ids


def answer_ids(processor: Any, texts: list[list[str]]) -> Tensor:
    """Answers (B, n) -> ids (B, n, A), each closed by the end token and filled up with it."""
    tokenizer = processor.tokenizer
    rows = [[text_ids(processor, " " + text) for text in row] for row in texts]
    longest = 1 + max(len(ids) for row in rows for ids in row)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    return torch.tensor(
        [[[*ids, end] + [pad] * (longest - len(ids) - 1) for ids in row] for row in rows]
    )


def loss_of(model: Any, processor: Any, batch: Batch, keep: int) -> Tensor:
    """Mean cross-entropy of the answers; `keep` of each picture's tokens are shown.

    All answers follow one prefix and cannot see each other, so the prefix is computed once.
    """
    count, images, places, _ = batch.tokens.shape
    ids = torch.tensor(prefix_ids(processor, batch.prompt, images))
    is_image = ids == model.config.image_token_id
    shown = torch.cat(
        [torch.randperm(places)[:keep].sort().values + i * places for i in range(images)]
    )
    position = (
        torch.cat([(~is_image).nonzero()[:, 0], is_image.nonzero()[:, 0][shown]]).sort().values
    )
    replies = answer_ids(processor, batch.answers)
    many, longest = replies.shape[1:]
    embed = model.get_input_embeddings()
    prefix = embed(ids[position]).expand(count, -1, -1).clone()
    features = model.model.multi_modal_projector(batch.tokens.flatten(1, 2)[:, shown])
    prefix[:, is_image[position]] = features.to(prefix.dtype)
    inputs = torch.cat([prefix, embed(replies[:, :, :-1]).flatten(1, 2)], 1)
    start, length = len(position), longest - 1
    hidden = model.model.language_model(
        inputs_embeds=inputs,
        attention_mask=packed_mask(start, many, length).expand(count, 1, -1, -1),
        position_ids=torch.cat([position, (len(ids) + torch.arange(length)).repeat(many)])[None],
        use_cache=False,
    ).last_hidden_state
    first = hidden[:, start - 1 : start, None].expand(-1, many, -1, -1).reshape(count, many, 1, -1)
    later = hidden[:, start:].unflatten(1, (many, length))
    wanted = replies.masked_fill(replies == processor.tokenizer.pad_token_id, IGNORE)
    real = wanted != IGNORE
    logits = model.lm_head(torch.cat([first, later], 2)[real])
    losses = F.cross_entropy(logits.float(), wanted[real], reduction="none")
    # A class is one token of twenty, and most of what is to be learned.
    weights = 1 + CLASS_WEIGHT * (wanted[real] >= processor.first_class)
    return (losses * weights).sum() / weights.sum()


def packed_mask(start: int, many: int, length: int) -> Tensor:
    """Who may see whom (L, L): the prefix causally, each answer the prefix and its own past."""
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.block_diag(torch.ones(start, start, dtype=torch.bool).tril(), *[causal] * many)
    mask = mask.bool()
    mask[start:, :start] = True
    return mask
