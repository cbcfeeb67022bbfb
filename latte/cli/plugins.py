"""`latte plugins`: list, write, check, disable and enable packages that provide components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from packaging.utils import canonicalize_name
from rich.text import Text

from latte.cli.shared import command_group, complete_from, known_kind
from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.registry import discovery
from latte.registry.registry import load_registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, KINDS, Plugin
from latte.report.output import echo, print_json, results
from latte.report.progress import make_progress
from latte.report.terminal import fitted

plugins = command_group("plugins")

NameArgument = Annotated[str, typer.Argument(help="The package, by its pip name.")]


@plugins.callback()
def list_plugins(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with tracebacks.")] = False,
) -> None:
    """List, write, check, disable and enable plugins."""
    if context.invoked_subcommand is not None:
        return
    found_plugins = discovery.discover_plugins()
    if json:
        print_json([asdict(plugin) for plugin in found_plugins])
    else:
        print_table(found_plugins)


@plugins.command("new")
def new_plugin(
    name: Annotated[str, typer.Argument(help="Its pip name, as in latte-colours.")],
    kind: Annotated[
        str, typer.Option(help=f"One of: {', '.join(KINDS)}.", autocompletion=complete_from(KINDS))
    ],
    joint: Annotated[
        bool, typer.Option("--joint", help="A labeler that labels all images together.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to write; default: NAME.")
    ] = None,
) -> None:
    """Write a plugin package: a working component, its tests, and a recipe that uses it."""
    from latte.plugin_kit.names import plugin_names, refuse_taken
    from latte.plugin_kit.write import write_plugin

    names, component_kind = plugin_names(name), known_kind(kind)
    refuse_taken(names, component_kind, load_registry())
    folder = output or Path(names.distribution)
    for file in write_plugin(names, component_kind, folder, joint=joint):
        echo(f"  {folder / file}")
    build = f"  python {folder / 'build_model.py'}\n" if component_kind == "model" else ""
    echo(
        f"next:\n{build}  python -m pip install -e '{folder}[dev]'\n"
        f"  python -m pytest {folder}\n  latte check {folder / 'recipe.yaml'}"
    )


@plugins.command("check")
def check(
    name: NameArgument,
    tests: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run these tests instead of the contract tests with default options.",
        ),
    ] = None,
    no_contract: Annotated[
        bool, typer.Option("--no-contract", help="Run no tests, so that no model is loaded.")
    ] = False,
) -> None:
    """Check a plugin: imports, interface version, options, dependencies, contract tests."""
    from latte.plugin_kit.check import Finding, check_plugin, run_contracts, run_tests
    from latte.registry.registry import Registry

    found_plugins = discovery.discover_plugins()
    plugin = next(
        candidate for candidate in found_plugins if candidate.distribution == _known(name)
    )
    registry = Registry(found_plugins)
    progress = make_progress()
    findings: list[Finding] = []

    def show(finding: Finding) -> None:
        findings.append(finding)
        state = "FAILED" if finding.problem else "skipped" if finding.skipped else "ok"
        echo(f"{state:<8} {finding.subject}: {finding.check}")
        for line in (finding.problem or finding.skipped or "").splitlines():
            echo(f"         {line}")

    for finding in check_plugin(registry, plugin):
        show(finding)
    if tests is not None:
        show(run_tests(plugin, tests, progress))
    elif not no_contract:
        for finding in run_contracts(registry, plugin, progress):
            show(finding)
    failed = sum(finding.problem is not None for finding in findings)
    if failed:
        raise LatteError(f"{failed} of {len(findings)} checks failed", where=plugin.package)


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
