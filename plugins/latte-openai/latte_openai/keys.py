"""The key: read from the environment, sent in one header, masked everywhere else."""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from latte.api import LatteError
from latte_openai.options import DEFAULT_KEY_ENV, OpenAIOptions

_SHORTEST_SECRET = 12
"""Placeholders for servers that ignore keys are shorter, and are words that texts may contain."""


def read_key(options: OpenAIOptions) -> SecretStr | None:
    """The key in the variable `key_env`; None without one, which is fine for the usual variable.

    Raises `LatteError` where the variable was named on purpose and is not set, where its value
    cannot be a key, and before the usual variable's key would travel unencrypted.
    """
    name, key = options.key_env, os.environ.get(options.key_env, "").strip()
    if not key:
        if name == DEFAULT_KEY_ENV:
            return None
        raise LatteError(
            f"the environment variable {name} is not set",
            where="describer.key_env",
            hint=f"set it: export {name}=...",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise LatteError(
            f"what the environment variable {name} holds cannot be a key",
            where="describer.key_env",
            hint="a key has no spaces and no accents; copy it again",
        )
    if name == DEFAULT_KEY_ENV and _is_exposed(options.base_url):
        raise LatteError(
            f"the key in {name} would be sent to another machine without encryption",
            where="describer.base_url",
            hint="use https, or put that server's own key into another variable and name it in "
            "`key_env`; without a key, unset the variable",
        )
    return SecretStr(key)


def masked(text: str, key: SecretStr | None) -> str:
    """`text` without the key, which some servers repeat in their messages."""
    if key is None or len(key) < _SHORTEST_SECRET:
        return text
    return text.replace(key.get_secret_value(), "***")


def is_loopback(base_url: str) -> bool:
    """Whether requests to `base_url` stay on this machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def _is_exposed(base_url: str) -> bool:
    return urlsplit(base_url).scheme == "http" and not is_loopback(base_url)
