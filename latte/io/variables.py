"""Expand environment variables in texts: `${VAR}`, `${VAR:-default}`, and `$${` for `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from latte.interfaces import LatteError
from latte.io.redaction import is_secret

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}"
    r"|(?P<malformed>\$\{[^}]*\}?)"
)


@dataclass(frozen=True)
class Expanded:
    """A text in which environment variables were replaced by their values."""

    text: str
    variables: tuple[str, ...]
    """Names of the variables, in order."""
    filled: tuple[tuple[int, int], ...]
    """Ranges of `text` that hold the value of a variable, not a default."""
    is_secret: bool
    """True if a value is a secret."""


def expand_variables(text: str, environment: Mapping[str, str]) -> Expanded:
    """Replace the variables in `text` by their values in `environment`.

    A `${` inside a value is not expanded. As in a shell, the default after `:-` also replaces an
    empty variable. Raises `LatteError` for an unset variable without a default.
    """
    names: list[str] = []
    filled: list[tuple[int, int]] = []
    expanded, secret, end = "", False, 0
    for match in _REFERENCE.finditer(text):
        expanded += text[end : match.start()]
        end = match.end()
        if match["escaped"]:
            expanded += "${"
            continue
        if match["malformed"]:
            raise LatteError(
                f'"{match[0]}" is not a variable',
                hint="Write ${NAME} or ${NAME:-default}, without nesting; $${ is a literal ${.",
            )
        names.append(match["name"])
        value = _look_up(match["name"], match["default"], environment)
        secret = secret or is_secret(match["name"], value)
        if environment.get(match["name"]):
            filled.append((len(expanded), len(expanded) + len(value)))
        expanded += value
    return Expanded(expanded + text[end:], tuple(dict.fromkeys(names)), tuple(filled), secret)


def escape(text: str) -> str:
    """Return `text` with each `${` escaped, so that `expand_variables` returns `text` itself."""
    return text.replace("${", "$${")


class UnsetVariableError(LatteError):
    """Error for an environment variable that is not set."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the environment variable {name} is not set",
            hint=f"Set it (export {name}=...), or write ${{{name}:-default}} here.",
        )
        self.name = name


def _look_up(name: str, default: str | None, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise UnsetVariableError(name)
    return value
