"""`latte plugins new` and `latte plugins check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer
from packaging.utils import canonicalize_name

from latte.api import Kind, LatteError, did_you_mean
from latte.api.output import echo, make_progress
from latte.api.plugins import Plugin, Registry, discover_plugins, load_registry
from latte_author.kit.check import Finding, check_plugin, run_contracts, run_tests
from latte_author.kit.names import plugin_names, refuse_taken
from latte_author.kit.write import write_plugin

KINDS: tuple[Kind, ...] = get_args(Kind)


def _complete_kind(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def new(
    name: Annotated[str, typer.Argument(help="Its pip name, as in latte-colours.")],
    kind: Annotated[
        str, typer.Option(help=f"One of: {', '.join(KINDS)}.", autocompletion=_complete_kind)
    ],
    joint: Annotated[
        bool, typer.Option("--joint", help="A labeler that labels all images together.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to write; default: NAME.")
    ] = None,
) -> None:
    """Write a plugin package: a working component, its tests, and a recipe that uses it."""
    names, component_kind = plugin_names(name), _known_kind(kind)
    refuse_taken(names, component_kind, load_registry())
    folder = output or Path(names.distribution)
    for file in write_plugin(names, component_kind, folder, joint=joint):
        echo(f"  {folder / file}")
    build = f"  python {folder / 'build_model.py'}\n" if component_kind == "model" else ""
    echo(
        f"next:\n{build}  python -m pip install -e '{folder}[dev]'\n"
        f"  python -m pytest {folder}\n  latte check {folder / 'recipe.yaml'}"
    )


def check(
    name: Annotated[str, typer.Argument(help="The package, by its pip name.")],
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
    registry = Registry(discover_plugins())
    plugin = _installed(registry, name)
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


def _known_kind(kind: str) -> Kind:
    """Return `kind` if it is a kind of component, else raise `LatteError` with a suggestion."""
    for known_kind in KINDS:
        if kind == known_kind:
            return known_kind
    hint = f"{did_you_mean(kind, KINDS)} All kinds: {', '.join(KINDS)}.".lstrip()
    raise LatteError(f'there is no kind of component called "{kind}"', hint=hint)


def _installed(registry: Registry, name: str) -> Plugin:
    """Return the installed plugin `name`. Raises `LatteError` if there is none."""
    plugins = {plugin.distribution: plugin for plugin in registry.plugins}
    distribution = canonicalize_name(name)
    if distribution in plugins:
        return plugins[distribution]
    hint = f"{did_you_mean(distribution, plugins)} Installed: {', '.join(plugins)}.".lstrip()
    raise LatteError(f'no installed plugin is called "{name}"', hint=hint)
