"""latte-tiny: a tiny real CLIP (`plugin:tiny`) and a small real image set (`tiny-caltech`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from latte.api import ComponentSpec, hookimpl

PACKAGE = Path(__file__).parent


def clip_folder() -> Path:
    """The open_clip model folder that this package ships."""
    return PACKAGE / "clip"


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """A model and a dataset."""
    return (
        ComponentSpec(
            kind="model",
            name="tiny",
            target="latte_tiny:clip_folder",
            summary="EfficientNet-Lite0 with a small text transformer, made for demos and tests",
        ),
        ComponentSpec(
            kind="dataset",
            name="tiny-caltech",
            target="latte_tiny.dataset:TinyCaltech",
            options="latte_tiny.options:TinyCaltechOptions",
            summary="1,600 photos of 100 classes from Caltech-101 (CC BY 4.0), train and test",
        ),
    )
