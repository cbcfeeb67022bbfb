"""Describer `llava`, which runs large multimodal models (LMMs) of transformers in this process."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the component: the describer `llava`."""
    return (
        ComponentSpec(
            kind="describer",
            name="llava",
            target="latte_llava.describer:LlavaDescriber",
            summary="LLaVA and other image-text models of transformers, on this machine",
            api_version=2,
        ),
    )
