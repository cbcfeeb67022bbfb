"""Tiny CLIP (`plugin:tiny`), tiny LMM (`plugin:tiny-lmm`) and a dataset of 1,600 photos."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from latte.api import ComponentSpec, hookimpl

PACKAGE = Path(__file__).parent


def clip_folder() -> Path:
    """Return the folder of the tiny CLIP, which open_clip can load."""
    return PACKAGE / "clip"


def lmm_folder() -> Path:
    """Return the folder of the tiny LMM, which transformers can load."""
    return PACKAGE / "lmm"


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the two models and the dataset."""
    return (
        ComponentSpec(
            kind="model",
            name="tiny",
            target="latte_tiny:clip_folder",
            summary="EfficientNet-Lite0 with a small text transformer, made for demos and tests",
            api_version=2,
        ),
        ComponentSpec(
            kind="model",
            name="tiny-lmm",
            target="latte_tiny:lmm_folder",
            summary="for the describer llava: names objects, colours and scenes, roughly",
            api_version=2,
        ),
        ComponentSpec(
            kind="dataset",
            name="tiny-caltech",
            target="latte_tiny.dataset:TinyCaltech",
            summary="1,600 photos of 100 classes from Caltech-101 (CC BY 4.0), train and test",
            api_version=2,
        ),
    )
