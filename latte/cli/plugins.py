"""`latte plugins`: which packages provide components, and whether they work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from latte.cli.output import plain_table, print_json, results
from latte.registry.discovery import discover_plugins
from latte.registry.plugin import Plugin
from latte.registry.spec import KINDS


def plugins(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with tracebacks.")] = False,
) -> None:
    """List installed plugins, what they provide, and what is wrong with broken ones."""
    found = discover_plugins()
    if json:
        print_json([asdict(plugin) for plugin in found])
    else:
        _print_table(found)


def provided(plugin: Plugin) -> str:
    """The names of a plugin's components, one line a kind."""
    names = {kind: [spec.name for spec in plugin.specs if spec.kind == kind] for kind in KINDS}
    return "\n".join(f"{kind}: {', '.join(names[kind])}" for kind in KINDS if names[kind])


def _print_table(found: Sequence[Plugin]) -> None:
    table = plain_table("plugin", "version", "status", "provides")
    for plugin in found:
        content = provided(plugin) if plugin.status == "ok" else plugin.error or ""
        cells = (plugin.distribution, plugin.version, plugin.status, content)
        table.add_row(*map(Text, cells), style="red" if plugin.failed else None)
    console = results()
    console.print(table)
    if any(plugin.detail for plugin in found):
        console.print("\nTracebacks: latte plugins --json", style="dim")
