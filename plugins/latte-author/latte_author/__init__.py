"""Commands that write and check plugins; contract tests and fixtures are in `testing`."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import CommandSpec, hookimpl


@hookimpl
def latte_commands() -> Iterable[CommandSpec]:
    """Return the commands that this package adds to the group `latte plugins`."""
    return [
        CommandSpec(
            "plugins new",
            "latte_author.commands:new",
            "Write a plugin package: a working component, its tests, and a recipe that uses it.",
            api_version=2,
        ),
        CommandSpec(
            "plugins check",
            "latte_author.commands:check",
            "Check a plugin: imports, interface version, options, dependencies, contract tests.",
            api_version=2,
        ),
    ]
