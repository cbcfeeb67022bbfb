"""Export of a model folder that open_clip can load: one JSON file and one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.transformer import TextTransformer
from safetensors.torch import save_file
from torch import Tensor, nn

from . import image_tower, student
from .projection import Joint


def config() -> dict[str, Any]:
    """Return the content of `open_clip_config.json`; no key refers to a hub or to a path."""
    return {
        "model_cfg": {
            "embed_dim": student.EMBED,
            "vision_cfg": {
                "timm_model_name": image_tower.TRUNK,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "mlp",
                "image_size": image_tower.IMAGE_SIZE,
            },
            "text_cfg": {
                "context_length": student.CONTEXT,
                "vocab_size": 49408,
                "width": student.WIDTH,
                "heads": student.HEADS,
                "layers": student.LAYERS,
            },
        },
        "preprocess_cfg": {
            "mean": list(image_tower.MEAN),
            "std": list(image_tower.STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def merged_state(trunk: nn.Module, tower: TextTransformer, joint: Joint) -> dict[str, Tensor]:
    """Return all weights by their names in open_clip's class `CLIP`."""
    state = {
        f"visual.trunk.{key}": value
        for key, value in trunk.state_dict().items()
        if not key.startswith("classifier.")
    }
    state |= {f"visual.head.mlp.{key}": value for key, value in joint.folded_head().items()}
    state |= {key: value for key, value in tower.state_dict().items() if key != "attn_mask"}
    state["text_projection"] = joint.text_projection.detach()
    state["logit_scale"] = joint.logit_scale.detach().clamp(max=4.6052)
    return state


def compact(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with matrices in float16 and all small tensors in float32.

    open_clip loads all of them as float32. The small tensors, such as batch-norm statistics and the
    temperature, stay exact because they need little space.
    """
    out = {}
    for key, value in state.items():
        big = value.is_floating_point() and value.ndim >= 2
        out[key] = (value.half() if big else value).contiguous().clone()
        if not bool(torch.isfinite(out[key].float()).all()):
            raise ValueError(f"{key} does not fit into {out[key].dtype}")
    return out


def write(folder: Path, state: dict[str, Tensor]) -> None:
    """Write both files under temporary names, then rename them; neither is ever incomplete."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, settings = folder / ".weights.tmp", folder / ".config.tmp"
    save_file(compact(state), weights, metadata={"format": "pt"})
    settings.write_text(json.dumps(config(), indent=2) + "\n", encoding="utf-8")
    weights.chmod(0o644)
    weights.replace(folder / "open_clip_model.safetensors")
    settings.replace(folder / "open_clip_config.json")
