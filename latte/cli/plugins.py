"""`latte plugins`: list, disable and enable packages that provide components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from packaging.utils import canonicalize_name
from rich.text import Text

from latte.cli.plugin_commands import OpenGroup
from latte.cli.shared import command_group
from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.registry import discovery
from latte.registry.spec import BUILTIN_DISTRIBUTION, KINDS, Plugin
from latte.report.output import echo, print_json, results
from latte.report.terminal import fitted

plugins: typer.Typer = command_group("plugins", cls=OpenGroup)

NameArgument = Annotated[str, typer.Argument(help="The package, by its pip name.")]


@plugins.callback()
def list_plugins(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with tracebacks.")] = False,
) -> None:
    """List, disable and enable plugins; latte-author adds `new` and `check` for authors."""
    if context.invoked_subcommand is not None:
        return
    found_plugins = discovery.discover_plugins()
    if json:
        print_json([asdict(plugin) for plugin in found_plugins])
    else:
        print_table(found_plugins)


@plugins.command("disable")
def disable(name: NameArgument) -> None:
    """Ignore a plugin in every latte command until it is enabled again."""
    distribution = _known(name)
    if distribution == BUILTIN_DISTRIBUTION:
        raise LatteError("latte's own components cannot be disabled")
    path = discovery.write_disabled(discovery.read_disabled() | {distribution})
    echo(f"{distribution} is left out from now on ({path})")


@plugins.command("enable")
def enable(name: NameArgument) -> None:
    """Use a disabled plugin again."""
    disabled, distribution = discovery.read_disabled(), canonicalize_name(name)
    if distribution not in disabled:
        hint = suggestion(distribution, sorted(disabled), "Disabled") if disabled else None
        raise LatteError(f"{distribution} is not disabled", hint=hint)
    discovery.write_disabled(disabled - {distribution})
    echo(f"{distribution} is used from now on")


def print_table(plugins: Sequence[Plugin]) -> None:
    """Print a row per plugin; broken plugins are red on a terminal."""
    rows = []
    for plugin in plugins:
        names = {kind: [spec.name for spec in plugin.specs if spec.kind == kind] for kind in KINDS}
        provided = "\n".join(
            f"{kind}: {', '.join(components)}" for kind, components in names.items() if components
        )
        content = provided if plugin.status == "ok" else plugin.error or ""
        cells = (plugin.distribution, plugin.version, plugin.status, content)
        rows.append([Text(cell, "red" if plugin.failed else "") for cell in cells])
    console = results()
    console.print(fitted(("plugin", "version", "status", "provides"), rows))
    if any(plugin.detail for plugin in plugins):
        setting = "LATTE_STRICT_PLUGINS=1 with any command"
        console.print(f"\nTracebacks: latte plugins --json, or {setting}", style="dim")


def _known(name: str) -> str:
    """Return the normalised name of an installed plugin. Raises `LatteError` if there is none."""
    installed, distribution = discovery.installed_distributions(), canonicalize_name(name)
    if distribution in installed:
        return distribution
    hint = suggestion(distribution, installed, "Installed")
    raise LatteError(f'no installed plugin is called "{name}"', hint=hint)
