"""What options may not hold: keys above all. No message repeats what was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_MOST_DIGITS = 5
_SECRET_NAME = re.compile(
    r"auth|api.?key|secret|passw|credential|^headers?$|^(access.?)?token$", re.I
)
_SECRET_VALUE = re.compile(r"\s*(bearer\s|(sk[-_]|gsk_|hf_|xai-|pplx-|nvapi-)[\w-]{12,})", re.I)
_OWN = ("model", "messages", "max_tokens", "temperature", "top_p", "seed", "n", "stream")


def check_base_url(url: str) -> str:
    """`url` without its last slash; raises `ValueError` where it is none or holds a secret."""
    try:
        parts = urlsplit(url.strip())
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be an address such as http://localhost:8000/v1")
    if "@" in parts.netloc:
        raise ValueError(
            "must not hold a user name or password; `key_env` names the variable with the key"
        )
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, such as /v1, without ? and #")
    path = parts.path.rstrip("/")
    if path.endswith("/chat/completions"):
        raise ValueError("must end before /chat/completions, which is added to it")
    return f"{parts.scheme}://{parts.netloc}{path}"


def check_variable(name: str) -> str:
    """`name` if it can be an environment variable; raises `ValueError` where it may be a key."""
    if not _VARIABLE.fullmatch(name) or sum(char.isdigit() for char in name) > _MOST_DIGITS:
        raise ValueError(
            "must be the name of an environment variable in capitals, such as OPENAI_API_KEY, "
            "never the key itself (a key that stands in a file should be replaced by a new one)"
        )
    return name


def check_extra_body(extra: Mapping[str, Any]) -> dict[str, Any]:
    """`extra` if it is plain data without secrets and repeats no option; else `ValueError`."""
    for name in extra:
        if name in _OWN:
            raise ValueError(f"must not hold `{name}`, which has an option or is set by latte")
    for name, value in _entries(extra):
        if _SECRET_NAME.search(name) or (isinstance(value, str) and _SECRET_VALUE.match(value)):
            raise ValueError("must not hold keys or headers; `key_env` names the key's variable")
    try:
        json.dumps(extra, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must be plain data: texts, finite numbers, lists, mappings") from None
    return dict(extra)


def _entries(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every key and value of nested mappings and lists."""
    yield name, value
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _entries(below, str(key))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _entries(below)
