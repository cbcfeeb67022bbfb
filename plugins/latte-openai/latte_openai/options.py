"""Options of the describer; API keys are rejected, and error messages never repeat a value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from latte.api import Options

DEFAULT_KEY_ENV = "OPENAI_API_KEY"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_MOST_DIGITS = 5
_SECRET = re.compile(
    r'"[^"]*(auth|api.?key|secret|passw|credential)[^"]*":|"(headers?|(access.?)?token)":'
    r'|"\s*(bearer\s|(sk[-_]|gsk_|hf_|xai-|pplx-|nvapi-)[\w-]{12,})',
    re.IGNORECASE,
)
"""Name of a field, or beginning of a text, that shows a key in JSON."""
_OWN = ("model", "messages", "max_tokens", "temperature", "top_p", "seed", "n", "stream")


def check_base_url(url: str) -> str:
    """Return `url` without a final slash; raise `ValueError` if it is invalid or has a password."""
    try:
        address = urlsplit(url.strip())
        is_url = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be an address such as http://localhost:8000/v1")
    if "@" in address.netloc:
        raise ValueError(
            "must not hold a user name or password; `key_env` names the variable with the key"
        )
    if address.query or address.fragment:
        raise ValueError("must end with its path, such as /v1, without ? and #")
    path = address.path.rstrip("/")
    if path.endswith("/chat/completions"):
        raise ValueError("must end before /chat/completions, which is added to it")
    return f"{address.scheme}://{address.netloc}{path}"


def is_loopback(base_url: str) -> bool:
    """Return True if requests to `base_url` stay on this machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def check_variable(name: str) -> str:
    """Return the variable name `name`; raise `ValueError` if it is invalid or may be a key."""
    if not _VARIABLE.fullmatch(name) or sum(char.isdigit() for char in name) > _MOST_DIGITS:
        raise ValueError(
            "must be the name of an environment variable in capitals, such as OPENAI_API_KEY, "
            "never the key itself (a key that stands in a file should be replaced by a new one)"
        )
    return name


def check_extra_body(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request fields `extra` if they are allowed.

    Raises `ValueError` for API keys, headers, values that are not JSON, and fields that latte sets
    itself or has an option for.
    """
    for name in extra:
        if name in _OWN:
            raise ValueError(f"must not hold `{name}`, which has an option or is set by latte")
    try:
        body_text = json.dumps(extra, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must be plain data: texts, finite numbers, lists, mappings") from None
    if _SECRET.search(body_text):
        raise ValueError("must not hold keys or headers; `key_env` names the key's variable")
    return dict(extra)


class OpenAIOptions(Options):
    """Options for server, model, decoding, images and retries; none of them can hold a key."""

    base_url: str = Field(
        default="http://localhost:8000/v1",
        description="the server's address, up to and without /chat/completions",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="the server's name of the model; none: the only one that the server lists",
    )
    revision: str = Field(
        default="",
        description="any text; change it to ask again if the same model now writes other texts "
        "(other weights, other quantisation); only enters the fingerprint",
    )
    key_env: str = Field(
        default=DEFAULT_KEY_ENV,
        description="environment variable that holds the key; local servers need none",
    )
    system_prompt: str | None = Field(
        default=None, description="sent before each question; none: no system message"
    )
    max_tokens: int | None = Field(
        default=77,
        ge=1,
        description="longest answer in tokens; none: not sent, so the server decides",
    )
    temperature: float | None = Field(
        default=0.0,
        ge=0.0,
        le=2.0,
        allow_inf_nan=False,
        description="0: greedy decoding; none: not sent, so the server decides",
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
    quality: int = Field(default=90, ge=1, le=100, description="quality of jpeg")
    detail: Literal["low", "high", "auto"] = Field(
        default="auto", description="OpenAI's image detail; auto: not sent"
    )
    concurrency: int = Field(
        default=16, ge=1, le=1024, description="largest number of simultaneous requests"
    )
    timeout: float = Field(
        default=120.0,
        gt=0.0,
        allow_inf_nan=False,
        description="seconds for a whole request, from connecting to the last byte, before a retry",
    )
    retries: int = Field(default=6, ge=0, le=100, description="retries of a request in one run")

    _is_an_address = field_validator("base_url")(check_base_url)
    _is_a_variable = field_validator("key_env")(check_variable)
    _is_harmless = field_validator("extra_body")(check_extra_body)

    @property
    def sends_to(self) -> str | None:
        """Return the server's address, or None if the server is on this machine."""
        return None if is_loopback(self.base_url) else self.base_url

    @property
    def varies(self) -> bool:
        """Return True if texts are sampled: the temperature is above 0 or left to the server."""
        return self.temperature is None or self.temperature > 0

    def settings(self) -> dict[str, object]:
        """Return the options that change texts, besides the model."""
        names = {"revision", "system_prompt", "max_tokens", "temperature", "top_p", "extra_body"}
        names |= {"detail", "max_side", "format"}
        names |= {"seed"} if self.varies else set()
        names |= {"quality"} if self.format == "jpeg" else set()
        return self.model_dump(mode="json", include=names)
