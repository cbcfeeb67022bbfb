"""Describer `openai`: texts from any server with OpenAI's chat completions API."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the component: the describer `openai`."""
    return (
        ComponentSpec(
            kind="describer",
            name="openai",
            target="latte_openai.describer:OpenAIDescriber",
            summary="asks an OpenAI-compatible server: vLLM, SGLang, Ollama, hosted ones",
            api_version=2,
        ),
    )
