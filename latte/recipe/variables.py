"""Environment variables in strings: `${VAR}`, `${VAR:-default}`, and `$${` for a plain `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latte.interfaces import LatteError
from latte.secrecy import is_secret

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}"
    r"|(?P<malformed>\$\{[^}]*\}?)"
)


@dataclass(frozen=True, slots=True)
class Expansion:
    """A string after expansion, and the variables that were read for it."""

    text: str
    variables: tuple[str, ...]
    is_secret: bool = False
    """Whether one of them may hold what must not be kept."""
    filled: tuple[tuple[int, int], ...] = ()
    """Where in `text` stands what the environment holds, as (start, end); defaults do not count."""


class Written(str):
    """A text with variables that stays as it was written, for what they hold is a secret."""

    __slots__ = ()


class AsWritten(dict[str, str]):
    """An environment in which every variable stands for itself."""

    def get(self, name: str, default: Any = None) -> Any:
        """`${NAME}`"""
        return f"${{{name}}}"


def expand(text: str, environment: Mapping[str, str]) -> Expansion:
    """Expand `text` once; what a variable holds is never expanded again.

    As in a shell, `:-` also stands in for a variable that is empty. Raises `LatteError`.
    """
    names: list[str] = []
    parts: list[str] = []
    filled: list[tuple[int, int]] = []
    secret, end = False, 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match["escaped"]:
            parts.append("${")
            continue
        if match["malformed"]:
            raise LatteError(
                f'"{match[0]}" is no variable',
                hint="Write ${NAME} or ${NAME:-default}, without nesting; $${ is a plain ${.",
            )
        names.append(match["name"])
        value = _look_up(match["name"], match["default"], environment)
        secret = secret or is_secret(match["name"], value)
        if environment.get(match["name"]):
            start = sum(map(len, parts))
            filled.append((start, start + len(value)))
        parts.append(value)
    expanded = "".join([*parts, text[end:]])
    return Expansion(expanded, tuple(dict.fromkeys(names)), secret, tuple(filled))


def escape(text: str) -> str:
    """The string that expands to `text`."""
    return text.replace("${", "$${")


def _look_up(name: str, default: str | None, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise LatteError(
            f"the environment variable {name} is not set",
            hint=f"Set it (export {name}=...), or write ${{{name}:-default}} here.",
        )
    return value
