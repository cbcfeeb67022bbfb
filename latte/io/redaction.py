"""What must not be told: keys, passwords and tokens, by the names that people give them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import yaml

SHORTEST = 8
"""Characters of a secret; shorter values of variables are words that any text may contain."""

_NAME = re.compile(
    r"(?i)secret|passw|passphrase|credential|cookie|token(?!iz)|key$|_pwd|(^|_)(keys?|auth(orization)?)(_|$)"
)
_IN_ADDRESS = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]+@")
_HIDDEN = "(hidden)"


def is_secret(name: str, value: str) -> bool:
    """Whether the environment variable `name` looks like a secret, or its value has a password."""
    return bool(_NAME.search(name) or _IN_ADDRESS.search(value))


def without_passwords(text: str) -> str:
    """`text` whose addresses name no user and no password."""
    return _IN_ADDRESS.sub(rf"\g<scheme>{_HIDDEN}@", text)


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` without what secret environment variables hold, and without passwords in addresses.

    In its place stands the variable's name. `environment`: default the process's own.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= SHORTEST and value in text and is_secret(name, value):
            text = text.replace(value, f"${{{name}}}")
    return without_passwords(text)


# Text and plain data from outside, made safe to print: no control characters, no secrets.


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns the direction of writing: pages keep it in its element, a terminal cannot."""
_SECRET = re.compile(r"(?i)(api_?key|token|secret|passw|credential|authorization)")


def printable(text: str) -> str:
    """`text` with each character that UTF-8, HTML or a terminal cannot take replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def on_terminal(text: str) -> str:
    """`text`, printable, and written in the direction in which the terminal writes."""
    return _TURNING.sub("\ufffd", printable(text))


def json_on_terminal(text: str) -> str:
    """JSON that means the same as the JSON `text`, in characters that a terminal can take."""
    for pattern in (_UNPRINTABLE, _TURNING):
        text = pattern.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


def one_line(text: str) -> str:
    """`text`, printable and on one line; a visible stand-in when nothing is left."""
    return " ".join(printable(text).split()) or "(empty)"


def without_secrets(value: Any) -> Any:
    """Return `value` without secrets: texts of keys such as `api_key`, passwords in addresses.

    Use it before writing a recipe into a report, which people may share.

    Example:
        >>> from latte.api import without_secrets
        >>> without_secrets({"api_key": "sk-123", "seed": 0})
        {'api_key': '(hidden)', 'seed': 0}
    """
    if isinstance(value, Mapping):
        return {
            key: "(hidden)"
            if isinstance(inner, str) and _SECRET.search(str(key))
            else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return without_passwords(value) if isinstance(value, str) else value


def as_yaml(value: Mapping[str, Any]) -> str:
    """Plain data as YAML text for people; anything that is not plain as its `str`."""
    plain = json.loads(json.dumps(without_secrets(value), default=str))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return printable(text)
