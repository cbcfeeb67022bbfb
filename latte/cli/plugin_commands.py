"""Commands that plugins add: found when somebody asks for one, or for the help."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from latte.interfaces import LatteError
from latte.registry.discovery import discover_plugins
from latte.registry.plugin import Plugin
from latte.registry.spec import CommandSpec


def plugin_commands(own: Collection[str]) -> Mapping[str, CommandSpec]:
    """By name, without those that latte itself has; a broken plugin adds none.

    Where plugins cannot even be listed, the help still works: the command itself says why.
    """
    try:
        declared = _declared()
    except LatteError:
        return {}
    return {name: found[0][1] for name, found in declared.items() if name not in own}


def the_command(name: str) -> CommandSpec:
    """The command of a plugin. Raises `LatteError` if several plugins claim its name."""
    found = _declared()[name]
    if len(found) > 1:
        packages = " and ".join(plugin.package for plugin, _ in found)
        hint = f"switch one off: latte plugins disable {found[-1][0].distribution}"
        raise LatteError(f'"latte {name}" is provided by {packages}', hint=hint)
    return found[0][1]


def provider(name: str) -> str:
    """The package that provides the command, for messages."""
    return _declared()[name][0][0].package


@cache
def _declared() -> Mapping[str, list[tuple[Plugin, CommandSpec]]]:
    found: dict[str, list[tuple[Plugin, CommandSpec]]] = {}
    for plugin in discover_plugins():
        for command in plugin.commands:
            found.setdefault(command.name, []).append((plugin, command))
    return found
