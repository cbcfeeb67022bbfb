"""Backbone `transformers`: image-text models of Hugging Face's library transformers."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the component: the backbone `transformers`."""
    return (
        ComponentSpec(
            kind="backbone",
            name="transformers",
            target="latte_transformers.loader:TransformersLoader",
            summary="CLIP, SigLIP or a similar model of transformers, from a folder or the hub",
            api_version=2,
        ),
    )
