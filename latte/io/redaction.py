"""Make text safe to show: no passwords and keys, no characters that harm a terminal or a page."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import yaml

MIN_SECRET_LENGTH = 8
"""Shorter values of variables are not redacted: any text may contain them by chance."""

_SECRET_VARIABLE = re.compile(
    r"(?i)secret|passw|passphrase|credential|cookie|token(?!iz)|key$|_pwd|(^|_)(keys?|auth(orization)?)(_|$)"
)
_SECRET_OPTION = re.compile(r"(?i)(api_?key|token|secret|passw|credential|authorization)")
_USER_IN_URL = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]+@")
_HIDDEN = "(hidden)"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDIRECTIONAL = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that change the direction of writing, in a terminal beyond the text itself."""


def is_secret(name: str, value: str) -> bool:
    """Return True if an environment variable has the name of a secret, or a URL with a password."""
    return bool(_SECRET_VARIABLE.search(name) or _USER_IN_URL.search(value))


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace the values of secret variables by their names, and hide passwords in URLs.

    `environment` is by default that of the process.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= MIN_SECRET_LENGTH and value in text and is_secret(name, value):
            text = text.replace(value, f"${{{name}}}")
    return without_passwords(text)


def without_passwords(text: str) -> str:
    """Hide the user names and passwords of URLs in `text`."""
    return _USER_IN_URL.sub(rf"\g<scheme>{_HIDDEN}@", text)


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
            key: _HIDDEN
            if isinstance(inner, str) and _SECRET_OPTION.search(str(key))
            else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return without_passwords(value) if isinstance(value, str) else value


def printable(text: str) -> str:
    """Replace characters that UTF-8, HTML or a terminal cannot show by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return `text` printable and on one line, or `(empty)` if nothing is left."""
    return " ".join(printable(text).split()) or "(empty)"


def on_terminal(text: str) -> str:
    """Return `text` printable and without changes of the direction of writing."""
    return _BIDIRECTIONAL.sub("\ufffd", printable(text))


def json_on_terminal(text: str) -> str:
    """Escape in the JSON `text` all characters that `on_terminal` would replace."""
    for pattern in (_UNPRINTABLE, _BIDIRECTIONAL):
        text = pattern.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return data without secrets as printable YAML; values that are not plain as their `str`."""
    plain = json.loads(json.dumps(without_secrets(value), default=str))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return printable(text)
