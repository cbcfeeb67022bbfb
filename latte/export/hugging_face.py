"""Export of a run's model to a folder for transformers' `CLIPModel.from_pretrained`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from open_clip.transformer import (
    QuickGELU,
    ResidualAttentionBlock,
    TextTransformer,
    Transformer,
    VisionTransformer,
)
from safetensors.torch import save_file
from torch import Tensor, nn

from latte.backbone.open_clip import OpenClipBackbone
from latte.export.clip_tokenizer import clip_tokenizer
from latte.export.folder import PROTOTYPES, Exported, require, whole_folder
from latte.export.readme import transformers_readme
from latte.interfaces import LatteError, PixelFormat
from latte.io.files import write_text
from latte.run.adapted import Member, write_prototypes

_TRANSFORMERS = "5.4"
"""First version of transformers with `CLIPImageProcessorPil`, which resizes with Pillow."""
_RESAMPLE = {"bilinear": 2, "bicubic": 3}
"""Pillow's number of each resampling filter."""


def export_transformers(exported: Exported, folder: Path, *, replace: bool) -> Path:
    """Write the model to `folder`; if there are several learners, each gets a sub-folder.

    Raises:
        LatteError: if transformers is missing, or its CLIP cannot hold the model.
    """
    require("transformers", "transformers", _TRANSFORMERS)
    members = exported.adapted.members
    writers = [_writer(member) for member in members]
    with whole_folder(folder, replace=replace) as temporary:
        for member, write in zip(members, writers, strict=True):
            write(temporary if len(members) == 1 else temporary / member.name)
        write_prototypes(temporary / PROTOTYPES, exported.adapted, exported.about())
        write_text(temporary / "README.md", transformers_readme(exported, folder.name))
    return folder


def _writer(member: Member) -> Callable[[Path], None]:
    """Return a function that writes the model. Raises `LatteError` if it cannot be exported."""
    backbone = member.backbone
    if backbone.saves_transformers:
        return backbone.save
    if not isinstance(backbone, OpenClipBackbone):
        raise LatteError(f"the backbone of learner {member.name} has no export to transformers")
    return partial(_write_clip, backbone, clip_config(backbone.model))


def _write_clip(backbone: OpenClipBackbone, config: dict[str, Any], folder: Path) -> None:
    from transformers import CLIPConfig

    folder.mkdir(parents=True, exist_ok=True)
    written = CLIPConfig(**config, architectures=["CLIPModel"], dtype="float32")
    written.save_pretrained(folder)
    save_file(clip_weights(backbone.model), folder / "model.safetensors", metadata={"format": "pt"})
    length = text_tower(backbone.model).positional_embedding.shape[0]
    clip_tokenizer(backbone.tokenizer, length).save_pretrained(folder)
    _image_processor(backbone.pixel_format).save_pretrained(folder)


def _image_processor(pixels: PixelFormat) -> Any:
    """Build the image processor. Raises `LatteError` if transformers cannot resize as `pixels`."""
    from transformers import CLIPImageProcessorPil

    if pixels.resize_mode == "longest":
        raise LatteError(
            "transformers' CLIP cannot pad an image's short side, as this model needs it",
            where="preprocessing",
            hint="use latte.load, or `--format onnx`, whose metadata describes the padding",
        )
    square = {"height": pixels.size, "width": pixels.size}
    shortest = pixels.resize_mode == "shortest"
    return CLIPImageProcessorPil(
        size={"shortest_edge": pixels.size} if shortest else square,
        do_center_crop=shortest,
        crop_size=square,
        resample=_RESAMPLE[pixels.interpolation],
        image_mean=list(pixels.mean),
        image_std=list(pixels.std),
    )


_INSTEAD = (
    "open_clip opens the run's model folder as it is, latte.load classifies with it, and "
    "`--format onnx` holds image towers of other kinds"
)


def clip_config(model: Any) -> dict[str, Any]:
    """Return arguments of `CLIPConfig`. Raises `LatteError` if they cannot describe `model`."""
    _require(getattr(model, "logit_bias", None) is None, "its logits have a bias")
    _require_plain_image_tower(model.visual)
    text = text_tower(model)
    width = model.visual.proj.shape[1]
    side, patch = model.visual.image_size[0], model.visual.patch_size[0]
    _require(len({*model.visual.patch_size}) == 1, "its patches are not square")
    end = text.vocab_size - 1
    return {
        "projection_dim": width,
        "logit_scale_init_value": float(model.logit_scale.detach()),
        "vision_config": {
            **_transformer_config(model.visual.transformer, "image"),
            "layer_norm_eps": _epsilon(model.visual, "image"),
            "image_size": side,
            "patch_size": patch,
            "projection_dim": width,
        },
        "text_config": {
            **_transformer_config(text.transformer, "text"),
            "layer_norm_eps": _epsilon(nn.ModuleList([text.transformer, text.ln_final]), "text"),
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.positional_embedding.shape[0],
            "projection_dim": width,
            "bos_token_id": end - 1,
            "eos_token_id": end,
            "pad_token_id": end,
        },
    }


def clip_weights(model: Any) -> dict[str, Tensor]:
    """Return the weights by their names in transformers; `clip_config` must accept `model`."""
    visual, text = model.visual, text_tower(model)
    weights = {
        "logit_scale": model.logit_scale.reshape(()),
        "visual_projection.weight": visual.proj.T,
        "text_projection.weight": _text_projection(text),
        "vision_model.embeddings.class_embedding": visual.class_embedding,
        "vision_model.embeddings.patch_embedding.weight": visual.conv1.weight,
        "vision_model.embeddings.position_embedding.weight": visual.positional_embedding,
        "text_model.embeddings.token_embedding.weight": text.token_embedding.weight,
        "text_model.embeddings.position_embedding.weight": text.positional_embedding,
        # transformers spells this name `layrnorm`.
        **_named("vision_model.pre_layrnorm", visual.ln_pre),
        **_named("vision_model.post_layernorm", visual.ln_post),
        **_named("text_model.final_layer_norm", text.ln_final),
        **_layers("vision_model.encoder.layers", visual.transformer),
        **_layers("text_model.encoder.layers", text.transformer),
    }
    return {name: weight.detach().cpu().float().contiguous() for name, weight in weights.items()}


def text_tower(model: Any) -> Any:
    """Return the text tower. Raises `LatteError` if transformers' CLIP cannot represent it."""
    text: Any = model if type(model) is CLIP else getattr(model, "text", None)
    if not (isinstance(text, CLIP) or type(text) is TextTransformer):
        kind = type(text).__name__
        raise _no_counterpart(f"its text tower ({kind}) is not CLIP's own", "text")
    own = isinstance(text, CLIP)
    pool = text.text_pool_type if own else text.pool_type
    end = text.text_eos_id if own else text.eos_id
    _require(text.attn_mask is not None, "its text tower has no causal mask")
    _require(
        bool(pool == "argmax" or (pool == "eos" and end == text.vocab_size - 1)),
        f"its text tower pools by `{pool}`",
    )
    if not own:
        _require(text.cls_emb is None, "its text tower has a class token")
    projection = text.text_projection
    biased = isinstance(projection, nn.Linear) and projection.bias is not None
    _require(not biased, "its text projection has a bias")
    return text


def _require_plain_image_tower(visual: Any) -> None:
    kind: Any = type(visual)
    if kind is not VisionTransformer:
        trunk = f" with a {type(visual.trunk).__name__}" if hasattr(visual, "trunk") else ""
        what = f"its image tower ({kind.__name__}{trunk}) is not CLIP's own"
        raise _no_counterpart(what, "image")
    _require(visual.attn_pool is None, "its image tower pools by attention")
    _require(visual.pool_type == "tok", f"its image tower pools by `{visual.pool_type}`")
    _require(not isinstance(visual.ln_pre, nn.Identity), "its image tower lacks a first layer norm")
    _require(visual.proj is not None, "its image tower has no projection")


def _transformer_config(transformer: Any, tower: str) -> dict[str, Any]:
    plain = type(transformer) is Transformer and all(map(_is_plain, transformer.resblocks))
    _require(plain, f"the blocks of its {tower} tower are not CLIP's own")
    block = transformer.resblocks[0]
    return {
        "hidden_size": transformer.width,
        "intermediate_size": block.mlp.c_fc.out_features,
        "num_hidden_layers": transformer.layers,
        "num_attention_heads": block.attn.num_heads,
        "hidden_act": _activation(block.mlp.gelu, tower),
    }


def _is_plain(block: nn.Module) -> bool:
    return (
        type(block) is ResidualAttentionBlock
        and not hasattr(block, "ln_1_kv")
        and isinstance(block.ls_1, nn.Identity)
        and isinstance(block.ls_2, nn.Identity)
    )


def _activation(layer: nn.Module, tower: str) -> str:
    if isinstance(layer, QuickGELU):
        return "quick_gelu"
    if isinstance(layer, nn.GELU):
        return "gelu" if layer.approximate == "none" else "gelu_pytorch_tanh"
    raise _no_counterpart(f"the activation of its {tower} tower is {type(layer).__name__}", tower)


def _epsilon(tower: nn.Module, name: str) -> float:
    found = {module.eps for module in tower.modules() if isinstance(module, nn.LayerNorm)}
    _require(len(found) == 1, f"the layer norms of its {name} tower differ")
    return found.pop()


def _text_projection(text: Any) -> Tensor:
    projection = text.text_projection
    if projection is None:
        return torch.eye(text.ln_final.weight.shape[0])
    if isinstance(projection, nn.Linear):
        return projection.weight
    return projection.T  # type: ignore[no-any-return]


def _layers(prefix: str, transformer: Any) -> Mapping[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for number, block in enumerate(transformer.resblocks):
        layer = f"{prefix}.{number}"
        projections = zip(
            ("q_proj", "k_proj", "v_proj"),
            block.attn.in_proj_weight.chunk(3),
            block.attn.in_proj_bias.chunk(3),
            strict=True,
        )
        for name, weight, bias in projections:
            weights[f"{layer}.self_attn.{name}.weight"] = weight
            weights[f"{layer}.self_attn.{name}.bias"] = bias
        weights |= _named(f"{layer}.self_attn.out_proj", block.attn.out_proj)
        weights |= _named(f"{layer}.layer_norm1", block.ln_1)
        weights |= _named(f"{layer}.layer_norm2", block.ln_2)
        weights |= _named(f"{layer}.mlp.fc1", block.mlp.c_fc)
        weights |= _named(f"{layer}.mlp.fc2", block.mlp.c_proj)
    return weights


def _named(prefix: str, module: Any) -> dict[str, Tensor]:
    return {f"{prefix}.weight": module.weight, f"{prefix}.bias": module.bias}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _no_counterpart(otherwise, "image" if "image" in otherwise else "text")


def _no_counterpart(what: str, tower: str) -> LatteError:
    return LatteError(
        f"transformers' CLIP cannot hold this model: {what}", where=f"{tower} tower", hint=_INSTEAD
    )
