"""Write tiny random checkpoints in the formats of timm and transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
import transformers as library
from safetensors.torch import save_file

transformers: Any = library

SIDE = 28
"""Side of the images; the patches have 14 pixels, as those of DINOv2."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": SIDE}


def write_dinov2(folder: Path, **changes: Any) -> None:
    """Write a `Dinov2Model` with the image processor of DINOv2, resized and cropped likewise."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.Dinov2Config(image_size=SIDE, patch_size=14, **sizes)
    _save(folder, transformers.Dinov2Model, config)
    # The values of facebook/dinov2-small, for smaller images.
    square = {"height": SIDE, "width": SIDE}
    processor = transformers.BitImageProcessorPil(
        size={"shortest_edge": SIDE * 8 // 7},
        crop_size=square,
        resample=3,
        image_mean=list(MEAN),
        image_std=list(STD),
        **changes,
    )
    processor.save_pretrained(folder)


def write_dinov3(folder: Path) -> None:
    """Write a `DINOv3ViTModel` with its image processor, which changes the aspect ratio."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision_sizes = {"intermediate_size": 48, "num_register_tokens": 4, "patch_size": 16}
    _save(
        folder, transformers.DINOv3ViTModel, transformers.DINOv3ViTConfig(**sizes, **vision_sizes)
    )
    square = {"height": 32, "width": 32}
    transformers.DINOv3ViTImageProcessor(size=square).save_pretrained(folder)


def write_timm(folder: Path, name: str, arguments: Mapping[str, Any], **pretrained: Any) -> None:
    """Write a model of timm with 5 classes, in the format of timm's repositories on the hub."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5, **arguments)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    defaults = {
        **{"input_size": [3, SIDE, SIDE], "fixed_input_size": "vit" in name, "license": "mit"},
        **{"interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"},
        **{"mean": list(MEAN), "std": list(STD), "num_classes": 5},
        "classifier": "head" if "vit" in name else "classifier",
    }
    config = {
        "architecture": name,
        "model_args": dict(arguments),
        "pretrained_cfg": {**defaults, **pretrained},
    }
    (folder / "config.json").write_text(json.dumps(config))


def write_timm_vit(folder: Path) -> None:
    """Write a small vision transformer with the architecture of DINOv2 ViT-S/14."""
    write_timm(folder, "vit_small_patch14_dinov2", VIT)


def _save(folder: Path, model: Any, config: Any) -> None:
    torch.manual_seed(0)
    model(config).save_pretrained(folder)
