"""Set the weights that are not trained, so that image content determines the words.

The projector maps an image token to the inputs of two linear classifiers: a low-rank ImageNet head
(dimensions CLASSES), and probes for colours and texture (LOOKS). The pooling heads are attention
heads of the first layer. They attend to all image tokens equally, and write the mean of these
tokens to every later position. The product of this mean and a class embedding is a logit of the
ImageNet head. The logits are exact only if RMSNorm divides all tokens by the same number; a large
constant in each token ensures this.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import layout
from .layout import (
    BIAS,
    CLASSES,
    CONST,
    GAIN,
    HEAD_WIDTH,
    IMAGE,
    LARGE,
    MARK,
    POOLED,
    POOLING_HEADS,
    SPEAK,
    TEXT,
    UNIT,
    WIDTH,
    WORD,
)
from .pictures import Projection

SLOWEST = HEAD_WIDTH // 2 - 1
"""The channel of a head that rotary position embeddings rotate least: hardly in 1,000 tokens."""
ATTENTION = 12.0
"""Attention logit of image tokens in the pooling heads; all other tokens have logit 0."""
SILENCE = -2.0
"""Initial value of SPEAK, so low that the untrained model outputs no class token."""


@torch.no_grad()
def set_all(model: Any, processor: Any, projection: Projection, meanings: Tensor) -> None:
    """Set projector, embeddings, norms and pooling heads of a new FastVLM model.

    `meanings` (V, TEXT) are the feature vectors of the text tokens, of any scale.
    """
    _set_projector(model.model.multi_modal_projector, projection)
    language_model = model.model.language_model
    _set_embeddings(language_model.embed_tokens.weight, processor, projection, meanings)
    _set_norms(language_model)
    for layer in language_model.layers:
        for writer in (layer.self_attn.o_proj, layer.mlp.down_proj):
            writer.weight[CLASSES] = 0
            writer.weight[[CONST, BIAS]] = 0
    _set_pooling(language_model.layers[0].self_attn)


def image_inputs(projected: Tensor) -> Tensor:
    """Return the projector's outputs (..., WIDTH) for the image features `projected`.

    The columns of `projected` are the dimensions CLASSES and LOOKS.
    """
    inputs = projected.new_zeros(*projected.shape[:-1], WIDTH)
    inputs[..., : projected.shape[-1]] = projected * UNIT
    inputs[..., CONST], inputs[..., IMAGE] = LARGE, MARK
    return inputs


def _set_projector(projector: Any, projection: Projection) -> None:
    read = len(projection.rows)
    first = projector.linear_1
    first.weight.zero_()
    first.bias.zero_()
    first.weight[:read] = projection.rows * UNIT
    first.bias[:read] = -first.weight[:read] @ projection.squeezed.center
    first.bias[CONST], first.bias[IMAGE] = LARGE, MARK
    projector.linear_2.weight.copy_(torch.eye(WIDTH))
    projector.linear_2.bias.zero_()


def _set_embeddings(
    embedding: Tensor, processor: Any, projection: Projection, meanings: Tensor
) -> None:
    """Set the embeddings of text tokens (`meanings`) and of class tokens.

    A class token gets its class's weights in the low-rank ImageNet head. All embeddings contain the
    large constant.
    """
    embedding.zero_()
    embedding[:, CONST] = LARGE
    embedding[: processor.first_class, TEXT] = meanings / meanings.std() * WORD
    squeezed = projection.squeezed
    embedding[processor.class_ids, CLASSES] = squeezed.classes
    embedding[processor.class_ids, BIAS] = squeezed.bias * UNIT
    embedding[processor.class_ids, SPEAK] = 1.0


def _set_norms(language_model: Any) -> None:
    """Set the weights of the RMSNorm layers.

    The weights undo the division by the constant LARGE, and set this constant to 0 in the layers'
    inputs.
    """
    norms = _norms(language_model)
    for norm in norms:
        norm.weight.fill_(GAIN)
        norm.weight[CONST] = 0
    for norm in norms[1:]:
        norm.weight[TEXT] = GAIN * UNIT / WORD


def _norms(language_model: Any) -> list[Any]:
    """Return all norms of the language model, the last one first."""
    norms = [language_model.norm]
    for layer in language_model.layers:
        norms += [layer.input_layernorm, layer.post_attention_layernorm]
    return norms


def _set_pooling(attention: Any) -> None:
    """Set the weights of the pooling heads.

    The heads average all image tokens, and copy the dimensions CLASSES and LOOKS.
    """
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
        linear.weight[POOLED] = 0
        linear.bias.zero_()
    marked = MARK / UNIT
    rows = torch.arange(POOLING_HEADS) * HEAD_WIDTH + SLOWEST
    strength = (ATTENTION * HEAD_WIDTH**0.5) ** 0.5
    attention.q_proj.bias[rows] = strength
    attention.k_proj.weight[rows, IMAGE] = strength / marked
    read = layout.LOOKS.stop
    dimensions = torch.arange(read)
    attention.v_proj.weight[dimensions, dimensions] = UNIT
    attention.v_proj.weight[read, IMAGE] = 1 / marked
    attention.o_proj.weight[:, POOLED] = 0
    attention.o_proj.weight[dimensions, dimensions] = 1
    attention.o_proj.weight[BIAS, read] = 1
    attention.o_proj.weight[SPEAK, read] = SILENCE


def hold(model: Any, processor: Any) -> None:
    """Protect the weights that were set: freeze them or mask their gradients."""
    for part in (model.model.vision_tower, model.model.multi_modal_projector):
        part.requires_grad_(False)
    language_model = model.model.language_model
    layers = language_model.layers
    for norm in _norms(language_model):
        norm.requires_grad_(False)
    attention = layers[0].self_attn
    embedding = language_model.embed_tokens.weight
    keep = torch.ones_like(embedding)
    keep[processor.first_class :] = 0
    keep[:, CONST] = 0
    embedding.register_hook(keep.mul)
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
        rows = torch.ones(WIDTH)
        rows[POOLED] = 0
        linear.weight.register_hook(rows[:, None].mul)
        linear.bias.register_hook(rows.mul)
    for layer in layers:
        for writer in (layer.self_attn.o_proj, layer.mlp.down_proj):
            mask = torch.ones_like(writer.weight)
            mask[CLASSES] = 0
            mask[[CONST, BIAS]] = 0
            if writer is attention.o_proj:
                mask[:, POOLED] = 0
            writer.weight.register_hook(mask.mul)
