"""Functions that read the API key from the environment and mask it in replies."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from latte.api import LatteError
from latte_openai.options import DEFAULT_KEY_ENV, OpenAIOptions, is_loopback

_SHORTEST_SECRET = 12
"""Length of the shortest key that is masked; shorter keys are placeholders such as `ollama`."""


def read_key(options: OpenAIOptions) -> SecretStr | None:
    """Return the key in the environment variable that the option `key_env` names.

    Returns None if this is the default variable and it is not set. Raises `LatteError` if another
    variable is not set, if the value cannot be a key, or if the default variable's key would be
    sent to another machine without encryption.
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
            f"the value of the environment variable {name} cannot be a key",
            where="describer.key_env",
            hint="a key has no spaces and no accents; copy it again",
        )
    is_plain = urlsplit(options.base_url).scheme == "http"
    if name == DEFAULT_KEY_ENV and is_plain and not is_loopback(options.base_url):
        raise LatteError(
            f"the key in {name} would be sent to another machine without encryption",
            where="describer.base_url",
            hint="use https, or put that server's own key into another variable and name it in "
            "`key_env`; without a key, unset the variable",
        )
    return SecretStr(key)


def masked(text: str, key: SecretStr | None) -> str:
    """Return `text` with `***` in place of the key, which some servers repeat in messages."""
    if key is None or len(key) < _SHORTEST_SECRET:
        return text
    return text.replace(key.get_secret_value(), "***")


def parsed(reply: str, key: SecretStr | None) -> Any:
    """Return the JSON value of `reply`, or `reply` itself if it is not JSON, with the key masked.

    The key is masked in the parsed value, because JSON can escape its characters.
    """
    try:
        return json.loads(masked(json.dumps(json.loads(reply), ensure_ascii=False), key))
    except (ValueError, RecursionError):
        return masked(reply, key)
