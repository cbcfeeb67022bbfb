"""Make text safe to show: hide secrets, and replace characters that harm a terminal or a page."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import yaml

MIN_SECRET_LENGTH = 8
"""Shorter values of secret variables are not redacted: any text may contain them by chance."""

_SECRET_VARIABLE = re.compile(
    r"(?i)secret|passw|passphrase|credential|cookie|webhook|token(?!iz)|key\d*$|_pwd|_pass$"
    r"|(^|_)(keys?|auth(orization)?|pass|pat|pw|jwt|dsn|sas|bearer|conn(ection)?_str(ing)?)(_|$)"
)
_SECRET_OPTION = re.compile(
    r"(?i)(api_?key|token|secret|passw|credential|authorization|cookie|webhook)"
)
_ISSUED = re.compile(r"((sk|pk|glpat|xox[a-z])-|(hf|gh[a-z]|github_pat)_)\S{8,}")
"""Secret values that start with a prefix which a known service gives to its API keys."""
_RANDOM_RUN = re.compile(r"[A-Za-z0-9]{20,}")
_RANDOM_CHARACTERS = 10
"""Smallest number of different characters in a sequence that looks random."""
_USER_IN_URL = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]+@")
_HIDDEN = "(hidden)"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDIRECTIONAL = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that change the writing direction; on a terminal, they also change later text."""


def is_secret(name: str, value: str) -> bool:
    """Return True if a variable with this name and value is probably a secret.

    One sign is enough: a typical name, a user name or password in a URL, a prefix such as `sk-` of
    a known service, or a value that looks random. Paths do not count as random, because folders are
    often named by a digest.
    """
    if _SECRET_VARIABLE.search(name) or _USER_IN_URL.search(value) or _ISSUED.fullmatch(value):
        return True
    if "://" not in value and re.search(r"[/\\]", value):
        return False
    return any(
        len({*run}) >= _RANDOM_CHARACTERS and re.search("[0-9]", run) and re.search("[A-Za-z]", run)
        for run in _RANDOM_RUN.findall(value)
    )


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace secret values of environment variables by variable names; hide passwords in URLs.

    Values that are escaped as in JSON or URLs are replaced too.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= MIN_SECRET_LENGTH:
            escaped = json.dumps(value)[1:-1]
            in_url = quote(value, "", errors="replace")
            for spelling in (value, escaped, escaped.replace("/", "\\/"), in_url):
                if spelling in text and is_secret(name, value):
                    text = text.replace(spelling, f"${{{name}}}")
    return without_passwords(text)


def without_passwords(text: str) -> str:
    """Return `text` with the user names and passwords in its URLs hidden."""
    return _USER_IN_URL.sub(rf"\g<scheme>{_HIDDEN}@", text)


def without_secrets(value: Any) -> Any:
    """Hide secrets in `value`: strings under keys such as `api_key`, and passwords in URLs.

    Use this function before writing a recipe into a report, which people may share.

    Example:
        >>> from latte.api import without_secrets
        >>> without_secrets({"api_key": "sk-123", "seed": 0})
        {'api_key': '(hidden)', 'seed': 0}
    """
    if isinstance(value, Mapping):
        return {
            key: _HIDDEN
            if isinstance(child, str) and _SECRET_OPTION.search(str(key))
            else without_secrets(child)
            for key, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(child) for child in value]
    return without_passwords(value) if isinstance(value, str) else value


def printable(text: str) -> str:
    """Put U+FFFD in place of all characters that UTF-8, HTML or a terminal cannot show."""
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    r"""Return `text` as one printable line, or `(empty)` if nothing is left.

    Example:
        >>> from latte.api.output import one_line
        >>> one_line("a\n  cat\x1b")
        'a cat\ufffd'
    """
    return " ".join(printable(text).split()) or "(empty)"


def on_terminal(text: str) -> str:
    """Replace unprintable characters, and those that change the writing direction, by U+FFFD."""
    return _BIDIRECTIONAL.sub("\ufffd", printable(text))


def json_on_terminal(text: str) -> str:
    """Escape the characters in the JSON `text` that `on_terminal` would replace."""
    for pattern in (_UNPRINTABLE, _BIDIRECTIONAL):
        text = pattern.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return `value` as printable YAML without secrets; types unknown to JSON become strings."""
    json_value = json.loads(json.dumps(without_secrets(value), default=str))
    text: str = yaml.safe_dump(json_value, sort_keys=False, allow_unicode=True, width=100)
    return printable(text)
