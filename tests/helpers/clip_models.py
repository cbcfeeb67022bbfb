"""Tiny random open_clip models of every kind, and `open_model`, which loads them by name."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing.tiny_runs import CONFIG
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP, set_model_preprocess_cfg
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg

from latte.backbone.load import load_backbone
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces.settings import BackboneSettings

TINY_CLIP = CONFIG
"""A `model_cfg` of open_clip's own towers, small enough to build in milliseconds."""


def with_parts(
    vision: dict[str, Any] | None = None, text: dict[str, Any] | None = None, **top: Any
) -> dict[str, Any]:
    """`TINY_CLIP` with some keys changed."""
    return {
        **TINY_CLIP,
        **top,
        "vision_cfg": {**TINY_CLIP["vision_cfg"], **(vision or {})},
        "text_cfg": {**TINY_CLIP["text_cfg"], **(text or {})},
    }


QUICK_GELU = with_parts(quick_gelu=True)
SEPARATE_TEXT = with_parts(custom_text=True)
LINEAR_TEXT_PROJECTION = with_parts(text={"proj_bias": True})
END_POOLING = with_parts(custom_text=True, text={"pool_type": "eos", "eos_id": 49407})
BIDIRECTIONAL = with_parts(custom_text=True, text={"no_causal_mask": True})
SIGLIP_LIKE = with_parts(
    custom_text=True,
    init_logit_bias=-10,
    text={"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
)
CUSTOM_BLOCKS = with_parts({"qk_norm": True}, {"scale_fc": True}, custom_text=True)
RESNET = with_parts({"layers": [1, 1, 1, 1], "patch_size": None, "width": 16, "head_width": 8})
COCA = with_parts(
    {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    {"embed_cls": True, "output_tokens": True},
    custom_text=True,
    multimodal_cfg={"width": 32, "heads": 2, "layers": 3},
)
TIMM_MLP = with_parts(
    {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_proj": "mlp"}
)
TIMM_CLASSIFIER = with_parts(
    {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": None, "image_size": 160}
)
DROPOUT = with_parts({"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_drop": 0.5})


def build_clip(config: dict[str, Any], seed: int = 0) -> OpenClipBackbone:
    """A model with random weights; the same seed gives the same model."""
    arguments = copy.deepcopy(config)
    kind: type[CLIP | CustomTextCLIP | CoCa] = CLIP
    if arguments.pop("custom_text", False):
        kind = CoCa if "multimodal_cfg" in arguments else CustomTextCLIP
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(**arguments).eval()
    size = config["vision_cfg"]["image_size"]
    set_model_preprocess_cfg(model, asdict(PreprocessCfg(size=size)))
    context_length = config["text_cfg"]["context_length"]
    return OpenClipBackbone(model, config, SimpleTokenizer(context_length=context_length))


def open_model(model: str, base_dir: Path, pretrained: str | None = None) -> OpenClipBackbone:
    """Load the CLIP of a recipe in `base_dir` with `backbone: {model:, pretrained:}`."""
    return load_backbone(
        BackboneSettings(model=model, pretrained=pretrained),
        device="cpu",
        base_dir=base_dir,
        model_folder=lambda name: pytest.fail(f"asked for plugin:{name}"),
    )


def pixels(backbone: OpenClipBackbone, images: int, seed: int = 0) -> torch.Tensor:
    """Random pixels (images, 3, S, S) of the size that the backbone takes."""
    generator = torch.Generator().manual_seed(seed)
    side = backbone.pixel_format.size
    return torch.randn(images, 3, side, side, generator=generator)
