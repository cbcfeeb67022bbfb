"""Convert open_clip's CLIP models to transformers' `CLIPModel`: configuration and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from open_clip import transformer as towers
from open_clip.model import CLIP
from timm.layers import GELUTanh
from torch import Tensor, nn

from latte.interfaces import LatteError

_INSTEAD = (
    "open_clip opens the run's model folder as it is, latte.load classifies with it, and "
    "`--format onnx` holds image towers of other kinds"
)


def clip_config(model: Any) -> dict[str, Any]:
    """Return the arguments of transformers' `CLIPConfig` that describe `model`.

    Raises `LatteError` if transformers cannot represent `model`.
    """
    _require_plain_image_tower(model.visual)
    text = text_tower(model)
    width = model.visual.proj.shape[1]
    side, patch = model.visual.image_size[0], model.visual.patch_size[0]
    refuse_unless(len({*model.visual.patch_size}) == 1, "its patches are not square", "image")
    end = text.vocab_size - 1
    return {
        "projection_dim": width,
        "logit_scale_init_value": float(model.logit_scale.detach()),
        "vision_config": {
            **transformer_config(model.visual.transformer, "image"),
            "layer_norm_eps": epsilon(model.visual, "image"),
            "image_size": side,
            "patch_size": patch,
            "projection_dim": width,
        },
        "text_config": {
            **transformer_config(text.transformer, "text"),
            "layer_norm_eps": epsilon(nn.ModuleList([text.transformer, text.ln_final]), "text"),
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.positional_embedding.shape[0],
            "projection_dim": width,
            "bos_token_id": end - 1,
            "eos_token_id": end,
            "pad_token_id": end,
        },
    }


def clip_weights(model: Any) -> dict[str, Tensor]:
    """Return the weights of `model` under the names that they have in transformers.

    Call `clip_config` first: it raises `LatteError` if transformers cannot represent `model`.
    """
    visual, text = model.visual, text_tower(model)
    projection = text.text_projection
    if projection is None:
        projection = torch.eye(text.ln_final.weight.shape[0])
    elif isinstance(projection, nn.Linear):
        projection = projection.weight.T
    weights = {
        "logit_scale": model.logit_scale.reshape(()),
        "visual_projection.weight": visual.proj.T,
        "text_projection.weight": projection.T,
        "vision_model.embeddings.class_embedding": visual.class_embedding,
        "vision_model.embeddings.patch_embedding.weight": visual.conv1.weight,
        "vision_model.embeddings.position_embedding.weight": visual.positional_embedding,
        "text_model.embeddings.token_embedding.weight": text.token_embedding.weight,
        "text_model.embeddings.position_embedding.weight": text.positional_embedding,
        # transformers spells this name `layrnorm`.
        **named("vision_model.pre_layrnorm", visual.ln_pre),
        **named("vision_model.post_layernorm", visual.ln_post),
        **named("text_model.final_layer_norm", text.ln_final),
        **layers("vision_model.encoder.layers", visual.transformer),
        **layers("text_model.encoder.layers", text.transformer),
    }
    return {name: weight.detach().cpu().float().contiguous() for name, weight in weights.items()}


def text_tower(model: Any) -> Any:
    """Return the text tower. Raises `LatteError` if transformers' CLIP cannot represent it."""
    text: Any = model if type(model) is CLIP else getattr(model, "text", None)
    if not (isinstance(text, CLIP) or type(text) is towers.TextTransformer):
        kind = type(text).__name__
        raise no_counterpart(f"its text tower ({kind}) is not CLIP's own", "text")
    is_clip = isinstance(text, CLIP)
    pool = text.text_pool_type if is_clip else text.pool_type
    end = text.text_eos_id if is_clip else text.eos_id
    refuse_unless(text.attn_mask is not None, "its text tower has no causal mask", "text")
    refuse_unless(
        bool(pool == "argmax" or (pool == "eos" and end == text.vocab_size - 1)),
        f"its text tower pools by `{pool}`",
        "text",
    )
    if not is_clip:
        refuse_unless(text.cls_emb is None, "its text tower has a class token", "text")
    projection = text.text_projection
    biased = isinstance(projection, nn.Linear) and projection.bias is not None
    refuse_unless(not biased, "its text projection has a bias", "text")
    return text


def _require_plain_image_tower(visual: Any) -> None:
    kind: Any = type(visual)
    if kind is not towers.VisionTransformer:
        trunk_text = f" with a {type(visual.trunk).__name__}" if hasattr(visual, "trunk") else ""
        what = f"its image tower ({kind.__name__}{trunk_text}) is not CLIP's own"
        raise no_counterpart(what, "image")
    pool, normalised = visual.pool_type, not isinstance(visual.ln_pre, nn.Identity)
    refuse_unless(visual.attn_pool is None, "its image tower pools by attention", "image")
    refuse_unless(pool == "tok", f"its image tower pools by `{pool}`", "image")
    refuse_unless(normalised, "its image tower lacks a first layer norm", "image")
    refuse_unless(visual.proj is not None, "its image tower has no projection", "image")


def transformer_config(transformer: Any, tower: str) -> dict[str, Any]:
    """Return the configuration of a tower's transformer blocks: sizes and activation."""
    is_plain = type(transformer) is towers.Transformer and all(
        type(block) is towers.ResidualAttentionBlock
        and not hasattr(block, "ln_1_kv")
        and isinstance(block.ls_1, nn.Identity)
        and isinstance(block.ls_2, nn.Identity)
        for block in transformer.resblocks
    )
    refuse_unless(is_plain, f"the blocks of its {tower} tower are not CLIP's own", tower)
    block = transformer.resblocks[0]
    return {
        "hidden_size": transformer.width,
        "intermediate_size": block.mlp.c_fc.out_features,
        "num_hidden_layers": transformer.layers,
        "num_attention_heads": block.attn.num_heads,
        "hidden_act": activation(block.mlp.gelu, tower),
    }


def activation(layer: nn.Module, tower: str) -> str:
    """Return the name of an activation in transformers. Raises `LatteError` if it has no name."""
    if isinstance(layer, towers.QuickGELU):
        return "quick_gelu"
    if isinstance(layer, nn.GELU) and layer.approximate == "none":
        return "gelu"
    if isinstance(layer, nn.GELU | GELUTanh):
        return "gelu_pytorch_tanh"
    raise no_counterpart(f"the activation of its {tower} tower is {type(layer).__name__}", tower)


def epsilon(tower: nn.Module, name: str) -> float:
    """Return the epsilon that all layer norms share. Raises `LatteError` if they differ."""
    epsilons = {module.eps for module in tower.modules() if isinstance(module, nn.LayerNorm)}
    refuse_unless(len(epsilons) == 1, f"the layer norms of its {name} tower differ", name)
    return epsilons.pop()


def layers(prefix: str, transformer: Any) -> Mapping[str, Tensor]:
    """Return the weights of open_clip's transformer blocks under transformers' names."""
    weights: dict[str, Tensor] = {}
    for number, block in enumerate(transformer.resblocks):
        layer, mlp, attention = f"{prefix}.{number}", block.mlp, block.attn
        joint = attention.in_proj_weight, attention.in_proj_bias
        modules = (attention.out_proj, block.ln_1, block.ln_2, mlp.c_fc, mlp.c_proj)
        weights |= layer_weights(layer, *joint, *modules)
    return weights


def layer_weights(layer: str, weight: Tensor, bias: Tensor, *modules: Any) -> dict[str, Tensor]:
    """Return the weights of one transformer block under transformers' names.

    `weight` (3D, D) and `bias` (3D,) are open_clip's joint projection to query, key and value.
    `modules` are the output projection, both layer norms and both layers of the MLP, in this order.
    """
    weights: dict[str, Tensor] = {}
    chunks = zip("qkv", weight.chunk(3), bias.chunk(3), strict=True)
    for letter, chunk_weight, chunk_bias in chunks:
        place = f"{layer}.self_attn.{letter}_proj"
        weights |= {f"{place}.weight": chunk_weight, f"{place}.bias": chunk_bias}
    names = ("self_attn.out_proj", "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2")
    for name, module in zip(names, modules, strict=True):
        weights |= named(f"{layer}.{name}", module)
    return weights


def named(prefix: str, module: Any) -> dict[str, Tensor]:
    """Return weight and bias of a layer under the names `PREFIX.weight` and `PREFIX.bias`."""
    return {f"{prefix}.weight": module.weight, f"{prefix}.bias": module.bias}


def refuse_unless(holds: bool, otherwise: str, tower: str) -> None:
    """Raise the error for a model that transformers cannot represent, unless `holds` is true."""
    if not holds:
        raise no_counterpart(otherwise, tower)


def no_counterpart(what: str, tower: str) -> LatteError:
    """Return the error for a model that transformers cannot represent; `what` is the reason."""
    return LatteError(
        f"transformers cannot hold this model: {what}", where=f"{tower} tower", hint=_INSTEAD
    )
