"""Commands that plugins add to `latte` and to its groups, such as `latte plugins new`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import typer

from latte.cli.shared import SuggestingGroup
from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.registry import discovery
from latte.registry.spec import CommandSpec, Plugin

COMMANDS_OF_PLUGINS = {
    **dict.fromkeys(("compare", "datasets", "field", "reproduce", "sweep"), "latte-benchmarks"),
    "distil": "latte-student",
    **dict.fromkeys(("plugins check", "plugins new"), "latte-author"),
}
"""Packages of commands that latte's own plugins add, for the error without the plugin."""


class OpenGroup(SuggestingGroup):
    """Group of commands to which plugins add theirs; they cannot replace commands of latte."""

    def prefix(self) -> str:
        """Return `GROUP `, with which the names of commands that plugins add here begin."""
        return f"{self.name} "

    def core_commands(self) -> tuple[str, ...]:
        """Return the names of latte's own commands in this group."""
        return tuple(self.commands)

    def core_command(self, ctx: Any, name: str) -> Any:
        """Return latte's own command called `name`."""
        return super().get_command(ctx, name)

    def added_commands(self) -> Mapping[str, CommandSpec]:
        """Return the commands that plugins add to this group, by their name in the group."""
        prefix, core_names = self.prefix(), self.core_commands()
        in_group = {
            name.removeprefix(prefix): spec
            for name, spec in plugin_commands().items()
            if name.startswith(prefix) and " " not in name.removeprefix(prefix)
        }
        return {name: spec for name, spec in in_group.items() if name not in core_names}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*self.core_commands(), *self.added_commands()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command called `cmd_name`, or None."""
        if cmd_name in self.core_commands():
            return self.core_command(ctx, cmd_name)
        is_added = cmd_name in self.added_commands()
        return _plugin_command(self.prefix() + cmd_name) if is_added else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args[0]` names. Raises `LatteError` for an unknown name."""
        name = self.prefix() + args[0]
        if name in COMMANDS_OF_PLUGINS and args[0] not in self.list_commands(ctx):
            raise _missing_plugin(name, COMMANDS_OF_PLUGINS[name])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List latte's own commands, then those of plugins without importing them."""
        self.format_core_commands(ctx, formatter)
        added = [(name, spec.summary) for name, spec in self.added_commands().items()]
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(added)

    def format_core_commands(self, ctx: Any, formatter: Any) -> None:
        """List latte's own commands, with the first sentence of each command's help."""
        self.write_commands(ctx, formatter, "Commands", self.core_commands())

    def write_commands(self, ctx: Any, formatter: Any, title: str, names: tuple[str, ...]) -> None:
        """Write a section of the help with the first sentence of each command's help."""
        rows = [
            (name, self.core_command(ctx, name).get_short_help_str(limit=160)) for name in names
        ]
        with formatter.section(title):
            formatter.write_dl(rows)


def plugin_commands() -> Mapping[str, CommandSpec]:
    """Return the commands that plugins declare, by name."""
    try:
        declared = _declared_commands()
    except LatteError:  # the help still works; a command that needs the plugins reports the error
        return {}
    return {name: providers[0][1] for name, providers in declared.items()}


@functools.cache
def _declared_commands() -> Mapping[str, list[tuple[Plugin, CommandSpec]]]:
    providers: dict[str, list[tuple[Plugin, CommandSpec]]] = {}
    for plugin in discovery.discover_plugins():
        for command in plugin.commands:
            providers.setdefault(command.name, []).append((plugin, command))
    return providers


def _missing_plugin(command: str, distribution: str) -> LatteError:
    """Return the error for a command whose plugin is not installed, or is not in use."""
    for plugin in discovery.discover_plugins():
        if plugin.distribution == distribution:
            what = f'"latte {command}" needs {plugin.package}, which is {plugin.status}'
            return LatteError(what, hint=plugin.error)
    what = f'"latte {command}" is a command of the plugin {distribution}, which is not installed'
    return LatteError(what, hint=f"pip install {distribution}")


def _plugin_command(name: str) -> Any:
    providers = _declared_commands()[name]
    (plugin, spec), *rivals = providers
    if rivals:
        packages = " and ".join(provider.package for provider, _ in providers)
        hint = f"switch one off: latte plugins disable {rivals[-1][0].distribution}"
        raise LatteError(f'"latte {name}" is provided by {packages}', hint=hint)
    try:
        return loaded_command(name.rpartition(" ")[2], spec.target)
    except Exception as error:
        if discovery.is_strict():
            discovery.raise_plugin_error(plugin.package, error)
        raise LatteError(
            f'"latte {name}" of {plugin.package} cannot be used: {error_line(error)}',
            hint="the error is in that package: upgrade it, or report it to its authors\n  "
            + discovery.STRICT_HINT,
        ) from error


@functools.cache
def loaded_command(name: str, target: str) -> Any:
    """Import `target`, a function or a `typer.Typer`, and return it as the command `name`."""
    loaded = discovery.import_target(target)
    if isinstance(loaded, typer.Typer):
        return typer.main.get_command(loaded)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(loaded)
    return typer.main.get_command(single)
