"""Convert open_clip's SigLIP models and their tokenizers to transformers' classes."""

from __future__ import annotations

import string
from typing import Any

import torch
from open_clip.tokenizer import HFTokenizer, _clean_canonicalize
from open_clip.transformer import TextTransformer
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.backbone.open_clip import OpenClipBackbone
from latte.export import clip
from latte.export.tokenizer import cleaning, lower_case, no_tokenizer

_PROBES = (
    "",
    "A photo of a </s>",
    "it's   <b>TWO_words</b>, 3.5% of ΟΔΟΣ!",
    "a photo of a dog " * 99,
)
"""Texts for which the exported tokenizer must give open_clip's tokens."""


def siglip_model(backbone: OpenClipBackbone) -> tuple[Any, Any]:
    """Return a `SiglipModel` with the features, scale and bias of `backbone`, and its tokenizer."""
    from transformers import SiglipConfig, SiglipModel

    source = backbone.model
    _require_towers(source)
    tokenizer = _tokenizer(backbone.tokenizer, source.text.context_length)
    build: Any = SiglipModel
    try:
        model = build(SiglipConfig(**_config(source, tokenizer))).eval()
        model.load_state_dict(_weights(source))
    except (AttributeError, RuntimeError, ValueError) as error:
        raise clip.no_counterpart("a tower has other layers than that of SigLIP", "text") from error
    side = backbone.pixel_format.size
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    tokens = backbone.tokenizer(list(_PROBES))
    with torch.no_grad():
        for tower, inputs in (("image", {"pixel_values": pixels}), ("text", {"input_ids": tokens})):
            source_features = getattr(source, f"encode_{tower}")(*inputs.values())
            siglip_features = getattr(model, f"get_{tower}_features")(**inputs).pooler_output
            are_equal = torch.allclose(
                normalize(source_features), normalize(siglip_features), rtol=0, atol=1e-4
            )
            what = f"its {tower} tower computes other features than that of SigLIP"
            clip.refuse_unless(are_equal, what, tower)
    return model, tokenizer


def _tokenizer(tokenizer: Any, context_length: int) -> Any:
    """Return a transformers tokenizer that gives the same tokens as open_clip's `tokenizer`."""
    from tokenizers import Regex, Tokenizer, normalizers
    from transformers import PreTrainedTokenizerFast

    hf_tokenizer: Any = getattr(tokenizer, "tokenizer", None)
    backend = getattr(hf_tokenizer, "backend_tokenizer", None)
    is_canonical = type(tokenizer) is HFTokenizer and tokenizer.clean_fn is _clean_canonicalize
    if backend is None or not is_canonical or tokenizer.tokenizer_mode or tokenizer.strip_sep_token:
        raise no_tokenizer(tokenizer)
    fast_tokenizer: Any = Tokenizer.from_str(backend.to_str())
    fast_tokenizer.no_padding()
    fast_tokenizer.no_truncation()
    original_normalizers = [] if fast_tokenizer.normalizer is None else [fast_tokenizer.normalizer]
    marks = "".join(f"\\{mark}" for mark in string.punctuation)
    punctuation_removal = [
        normalizers.Replace("_", " "),
        normalizers.Replace(Regex(f"[{marks}]"), ""),
    ]
    fast_tokenizer.normalizer = normalizers.Sequence(
        [
            *cleaning(),
            *punctuation_removal,
            *lower_case(),
            normalizers.Strip(),
            *original_normalizers,
        ]
    )
    build: Any = PreTrainedTokenizerFast
    exported_tokenizer = build(
        tokenizer_object=fast_tokenizer,
        eos_token=hf_tokenizer.eos_token,
        pad_token=hf_tokenizer.pad_token,
        unk_token=hf_tokenizer.unk_token,
        padding_side=hf_tokenizer.padding_side,
        model_max_length=context_length,
        model_input_names=["input_ids"],
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    probe_tokens = exported_tokenizer(
        list(_PROBES), padding="max_length", truncation=True, return_tensors="pt"
    )
    if not torch.equal(probe_tokens.input_ids, tokenizer(list(_PROBES))):
        raise no_tokenizer(tokenizer)
    return exported_tokenizer


def _require_towers(model: Any) -> None:
    tower, text = getattr(model.visual, "trunk", None), getattr(model, "text", None)
    pools = isinstance(getattr(tower, "attn_pool", None), AttentionPoolLatent)
    clip.refuse_unless(
        type(tower) is VisionTransformer and pools,
        "its logits have a bias, as those of SigLIP, but its image tower is no vision transformer "
        "of timm with attention pooling (vit_*_siglip_*)",
        "image",
    )
    clip.refuse_unless(
        type(text) is TextTransformer and isinstance(text.text_projection, nn.Linear),
        f"its logits have a bias, as those of SigLIP, but its text tower ({type(text).__name__}) "
        "is not that of SigLIP",
        "text",
    )


def _config(model: Any, tokenizer: Any) -> dict[str, Any]:
    tower, text = model.visual.trunk, model.text
    block, embedding = tower.blocks[0], tower.patch_embed
    return {
        "vision_config": {
            "hidden_size": tower.embed_dim,
            "intermediate_size": block.mlp.fc1.out_features,
            "num_hidden_layers": len(tower.blocks),
            "num_attention_heads": block.attn.num_heads,
            "hidden_act": clip.activation(block.mlp.act, "image"),
            "layer_norm_eps": clip.epsilon(tower, "image"),
            "image_size": embedding.img_size[0],
            "patch_size": embedding.patch_size[0],
        },
        "text_config": {
            **clip.transformer_config(text.transformer, "text"),
            "layer_norm_eps": clip.epsilon(
                nn.ModuleList([text.transformer, text.ln_final]), "text"
            ),
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.positional_embedding.shape[0],
            "projection_size": text.text_projection.out_features,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
    }


def _weights(model: Any) -> dict[str, Tensor]:
    tower, text = model.visual.trunk, model.text
    pool = tower.attn_pool
    weights = {
        "logit_scale": model.logit_scale.reshape(1),
        "logit_bias": model.logit_bias.reshape(1),
        "vision_model.embeddings.position_embedding.weight": tower.pos_embed[0],
        "vision_model.head.probe": pool.latent,
        "vision_model.head.attention.in_proj_weight": torch.cat([pool.q.weight, pool.kv.weight]),
        "vision_model.head.attention.in_proj_bias": torch.cat([pool.q.bias, pool.kv.bias]),
        "text_model.embeddings.token_embedding.weight": text.token_embedding.weight,
        "text_model.embeddings.position_embedding.weight": text.positional_embedding,
        **clip.named("vision_model.embeddings.patch_embedding", tower.patch_embed.proj),
        **clip.named("vision_model.post_layernorm", tower.norm),
        **clip.named("vision_model.head.attention.out_proj", pool.proj),
        **clip.named("vision_model.head.layernorm", pool.norm),
        **clip.named("vision_model.head.mlp.fc1", pool.mlp.fc1),
        **clip.named("vision_model.head.mlp.fc2", pool.mlp.fc2),
        **clip.named("text_model.final_layer_norm", text.ln_final),
        **clip.named("text_model.head", text.text_projection),
        **clip.layers("text_model.encoder.layers", text.transformer),
    }
    for number, block in enumerate(tower.blocks):
        layer = f"vision_model.encoder.layers.{number}"
        joint = block.attn.qkv.weight, block.attn.qkv.bias
        modules = (block.attn.proj, block.norm1, block.norm2, block.mlp.fc1, block.mlp.fc2)
        weights |= clip.layer_weights(layer, *joint, *modules)
    return weights
