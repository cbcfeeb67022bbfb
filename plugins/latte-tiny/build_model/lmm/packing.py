"""Loss of a batch, in which several answers about a picture share one prefix."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .batches import Batch
from .construct import image_inputs
from .model import IMAGE, IMAGE_TOKENS

CLASS_WEIGHT = 3.0


def prefix_ids(processor: Any, prompt: str, images: int) -> list[int]:
    """Return the token ids of the question, as the processor would encode it."""
    content = [{"type": "image"}] * images + [{"type": "text", "text": prompt}]
    text: str = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    ids: list[int] = processor.tokenizer(text.replace(IMAGE, IMAGE * IMAGE_TOKENS))["input_ids"]
    return ids


def text_ids(processor: Any, text: str) -> list[int]:
    """Return the token ids of an answer; a class placeholder is one token."""
    parts = re.split("\ue000(\\d+)\ue001", text)
    ids: list[int] = []
    for place, part in enumerate(parts):
        if place % 2:
            ids.append(processor.class_ids[int(part)])
        elif part:
            ids += processor.bare(part)
    return ids


def answer_ids(processor: Any, texts: list[list[str]], *, whole: bool) -> Tensor:
    """Return padded token ids (B, n, A) of answers (B, n), with an end token if `whole`."""
    tokenizer = processor.tokenizer
    end = [tokenizer.eos_token_id] if whole else []
    rows = [[text_ids(processor, " " + text) + end for text in row] for row in texts]
    longest = max(len(ids) for row in rows for ids in row)
    pad = tokenizer.pad_token_id
    return torch.tensor([[ids + [pad] * (longest - len(ids)) for ids in row] for row in rows])


def shown_positions(is_image: Tensor, places: list[int]) -> Tensor:
    """Return the prefix positions (P,) to keep: all text, and the tokens `places` of each image."""
    order = torch.cumsum(is_image, 0) - 1
    kept = torch.isin(order % IMAGE_TOKENS, torch.tensor(places))
    return (~is_image | kept).nonzero()[:, 0]


def loss_of(model: Any, processor: Any, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the answers.

    The target of a class token is the ImageNet head's distribution over classes. All answers of a
    picture follow one prefix and do not attend to each other, so the prefix is computed once.
    """
    count, images = batch.tokens.shape[:2]
    ids = torch.tensor(prefix_ids(processor, batch.prompt, images))
    is_image = ids == model.config.image_token_id
    position = shown_positions(is_image, batch.places)
    replies = answer_ids(processor, batch.answers, whole=batch.whole)
    many, longest = replies.shape[1:]
    embed = model.get_input_embeddings()
    prefix = embed(ids[position]).expand(count, -1, -1).clone()
    prefix[:, is_image[position]] = image_inputs(batch.tokens).flatten(1, 2)
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
    real = replies != processor.tokenizer.pad_token_id
    logits = model.lm_head(torch.cat([first, later], 2)[real])
    opinions = batch.opinions[:, None, None].expand(-1, many, longest, -1)[real]
    return _losses(logits.float(), replies[real], opinions, processor)


def _losses(logits: Tensor, wanted: Tensor, opinions: Tensor, processor: Any) -> Tensor:
    """Return the weighted mean loss of logits (n, V), given tokens (n,) and opinions (n, C).

    `opinions` are the ImageNet head's class probabilities.
    """
    losses = F.cross_entropy(logits, wanted, reduction="none")
    says_class = wanted >= processor.first_class
    of_class = logits[says_class].log_softmax(-1)[:, processor.class_ids]
    losses = losses.masked_scatter(says_class, -(opinions[says_class] * of_class).sum(-1))
    weights = 1 + CLASS_WEIGHT * says_class
    return (losses * weights).sum() / weights.sum()


def packed_mask(start: int, many: int, length: int) -> Tensor:
    """Return the attention mask (L, L) of a prefix and several answers.

    The prefix is causal; an answer attends to the prefix and to its own past.
    """
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.block_diag(torch.ones(start, start, dtype=torch.bool).tril(), *[causal] * many)
    mask = mask.bool()
    mask[start:, :start] = True
    return mask
