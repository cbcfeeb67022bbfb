"""What must not be told: keys, passwords and tokens, by the names that people give them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

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


def untold(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` without what secret environment variables hold, and without passwords in addresses.

    In its place stands the variable's name. `environment`: default the process's own.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= SHORTEST and value in text and is_secret(name, value):
            text = text.replace(value, f"${{{name}}}")
    return without_passwords(text)
