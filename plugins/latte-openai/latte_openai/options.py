"""Options of the describer, apart from it so that nothing heavy is imported."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from latte.api import Options
from latte_openai.checks import check_base_url, check_extra_body, check_variable

DEFAULT_KEY_ENV = "OPENAI_API_KEY"


class OpenAIOptions(Options):
    """Which server and model to ask, how, and how patiently. No option can hold a key."""

    base_url: str = Field(
        default="http://localhost:8000/v1",
        description="the server's address, up to and without /chat/completions",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="as the server calls it; none: the only one that the server lists",
    )
    revision: str = Field(
        default="",
        description="your own mark for weights or a server that write other texts; only enters "
        "the fingerprint",
    )
    key_env: str = Field(
        default=DEFAULT_KEY_ENV,
        description="environment variable that holds the key; local servers need none",
    )
    system_prompt: str | None = Field(
        default=None, description="sent before each question; none: no system message"
    )
    max_tokens: int | None = Field(
        default=77, ge=1, description="longest answer; none: not sent, so the server decides"
    )
    temperature: float | None = Field(
        default=0.0,
        ge=0.0,
        le=2.0,
        allow_inf_nan=False,
        description="0: always the likeliest token; none: not sent, so the server decides",
    )
    top_p: float | None = Field(
        default=None, gt=0.0, le=1.0, description="nucleus sampling; none: not sent"
    )
    seed: int | None = Field(
        default=0,
        ge=0,
        description="with sampling, gives each request and sample a seed of its own; none: "
        "no seed is sent",
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description='further fields of the request, such as {"top_k": 1}; no keys, no headers',
    )
    images: Literal["grid", "separate"] = Field(
        default="grid",
        description="a group as one grid (LatteCLIP), or as separate images of one request",
    )
    max_images: int = Field(
        default=16, ge=1, description="with separate images: larger groups are sent as a grid"
    )
    max_side: int | None = Field(
        default=672,
        ge=16,
        description="larger images are scaled down to this many pixels; none: sent as they are",
    )
    format: Literal["jpeg", "png"] = Field(default="jpeg", description="how images are encoded")
    quality: int = Field(default=90, ge=1, le=100, description="of jpeg")
    detail: Literal["low", "high", "auto"] = Field(
        default="auto", description="OpenAI's image detail; auto: not sent"
    )
    concurrency: int = Field(
        default=16, ge=1, le=1024, description="most requests at the same time"
    )
    timeout: float = Field(
        default=120.0,
        gt=0.0,
        allow_inf_nan=False,
        description="seconds that a server may be silent before the request is tried again",
    )
    retries: int = Field(
        default=6, ge=0, le=100, description="how often a request is tried again in one run"
    )
    max_wait: float = Field(
        default=60.0,
        ge=0.0,
        allow_inf_nan=False,
        description="longest wait before a retry, seconds",
    )

    _is_an_address = field_validator("base_url")(check_base_url)
    _is_a_variable = field_validator("key_env")(check_variable)
    _is_harmless = field_validator("extra_body")(check_extra_body)

    @property
    def varies(self) -> bool:
        """Whether texts are sampled, as far as latte can know."""
        return self.temperature is None or self.temperature > 0
