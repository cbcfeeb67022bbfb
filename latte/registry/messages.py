"""What people read when a component's name is wrong, or the package behind it is."""

from __future__ import annotations

from collections.abc import Sequence

from latte.interfaces import LatteError
from latte.registry.plugin import Plugin, Registered
from latte.registry.spec import Kind
from latte.registry.suggest import nearest


def unknown_component(
    kind: Kind, name: str, known: Sequence[Registered], plugins: Sequence[Plugin], where: str | None
) -> LatteError:
    """Nothing of this kind has this name: the nearest that has one, and who may be missing."""
    hints = [*_suggestion(name, known), *_absent(kind, name, plugins)]
    hints.append(f"All names: latte components {kind}")
    return LatteError(
        f'no {kind} named "{name}" is installed', where=where, hint="\n  ".join(hints)
    )


def ambiguous_component(
    kind: Kind, name: str, candidates: Sequence[Registered], where: str | None
) -> LatteError:
    """Several packages provide this short name."""
    packages = " and ".join(candidate.package for candidate in candidates)
    choices = " or ".join(f'"{candidate.full_name}"' for candidate in candidates)
    return LatteError(
        f'{kind} "{name}" is provided by {packages}', where=where, hint=f"Write {choices}."
    )


def broken_component(registered: Registered, cause: str) -> LatteError:
    """The package behind a component does not keep what it declared."""
    spec = registered.spec
    return LatteError(
        f'{spec.kind} "{spec.name}" of {registered.package} cannot be used: {cause}',
        hint=f"The fault is in the package {registered.distribution}: upgrade it, or tell its "
        "authors.",
    )


def _suggestion(name: str, known: Sequence[Registered]) -> list[str]:
    by_name = {component.full_name: component for component in known}
    by_name |= {component.spec.name: component for component in known}
    match = nearest(name, by_name)
    return [f'Did you mean "{match}" ({by_name[match].package})?'] if match else []


def _absent(kind: Kind, name: str, plugins: Sequence[Plugin]) -> list[str]:
    """Plugins that are not loaded and declare the name, or else those that perhaps would."""
    missing = [plugin for plugin in plugins if plugin.status != "ok"]
    certain = [plugin for plugin in missing if _declares(plugin, kind, name)]
    if certain:
        return [_not_loaded("It comes from", plugin) for plugin in certain]
    silent = [plugin for plugin in missing if not plugin.specs]
    return [_not_loaded("It may come from", plugin) for plugin in silent]


def _declares(plugin: Plugin, kind: Kind, name: str) -> bool:
    if name.startswith(f"{plugin.distribution}/"):
        return True
    return any(spec.kind == kind and spec.name == name for spec in plugin.specs)


def _not_loaded(prefix: str, plugin: Plugin) -> str:
    return f"{prefix} {plugin.package}, which is {plugin.status}: {plugin.error} (latte plugins)"
