"""Image-only encoders beside the CLIP: models of timm and transformers, such as DINOv2."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl

_TRANSFORMERS = "latte_encoders.transformers_models"


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the encoders: any model of the two libraries, and some models by a short name."""
    encoders = (
        ("timm", "latte_encoders.timm_models:TimmEncoder", "any model of timm, by its name"),
        ("transformers", f"{_TRANSFORMERS}:TransformersEncoder", "any image model of transformers"),
        ("dinov2-small", f"{_TRANSFORMERS}:DinoV2Small", "DINOv2 ViT-S/14: 22 million parameters"),
        ("dinov2-base", f"{_TRANSFORMERS}:DinoV2Base", "DINOv2 ViT-B/14: 87 million parameters"),
        ("dinov3-small", f"{_TRANSFORMERS}:DinoV3Small", "DINOv3 ViT-S/16, under its own licence"),
    )
    return tuple(
        ComponentSpec(kind="encoder", name=name, target=target, summary=summary, api_version=2)
        for name, target, summary in encoders
    )
