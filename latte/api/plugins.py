"""Installed plugins and their components, for tools that write, check and test plugins.

Importing this module loads no torch, and no plugin.
"""

from pathlib import Path
from typing import Annotated

import typer

from latte.registry.discovery import discover_plugins
from latte.registry.plugin_file import load_plugin_file
from latte.registry.registry import INTERFACES, Registry, load_registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, Plugin, Registered, reserved_keys
from latte.report.output import echo

__all__ = [
    "BUILTIN_DISTRIBUTION",
    "INTERFACES",
    "Plugin",
    "PluginOption",
    "Registered",
    "Registry",
    "discover_plugins",
    "load_registry",
    "reserved_keys",
]


def _load_plugin_file(context: typer.Context, path: Path | None) -> Path | None:
    if path is not None and not context.resilient_parsing:  # which completes a word in a shell
        plugin = load_plugin_file(path)
        components = ", ".join(f"{spec.kind} {spec.name}" for spec in plugin.specs)
        echo(f"{plugin.distribution} has {components}", err=True)
    return path


PluginOption = Annotated[
    Path | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file with components of your own, for this command alone. It is code that "
        "runs on this machine: name no file that you would not run.",
        callback=_load_plugin_file,
    ),
]
"""The option `--plugin FILE` of a command; when the command starts, the file is loaded."""
