"""Names of a new plugin: all follow from the name of its package, and none is taken."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from latte.api import Kind, LatteError
from latte.api.plugins import Registry

LONGEST = 50
"""Largest number of characters of a package's name."""
_DISTRIBUTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "latte-"


@dataclass(frozen=True)
class Names:
    """Names in a new plugin, all derived from the name of its pip package."""

    distribution: str
    """Name of the pip package, for example `latte-warm-colours`."""

    @property
    def module(self) -> str:
        """Name of the import package and entry point, for example `latte_warm_colours`."""
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        """Name of the component in recipes, for example `warm-colours`."""
        return self.distribution.removeprefix(_PREFIX)

    @property
    def camel(self) -> str:
        """Prefix of the component's class names, for example `WarmColours`."""
        return "".join(word.capitalize() for word in self.component.split("-"))


def plugin_names(text: str) -> Names:
    """Return the names for a package called `text`. Raises `LatteError` for an unusable name."""
    if len(text) > LONGEST:
        raise LatteError(
            f'"{text[:20]}…" has {len(text)} characters, more than {LONGEST}',
            hint="it names folders, files and classes: choose a shorter one, as in latte-colours",
        )
    package_name = text.strip().lower().replace("_", "-").replace(" ", "-")
    if not _DISTRIBUTION.fullmatch(package_name):
        raise LatteError(
            f'"{text}" cannot name a package',
            hint="lower-case letters, digits and single hyphens, as in latte-colours",
        )
    names = Names(package_name)
    is_reserved = names.module in sys.stdlib_module_names or keyword.iskeyword(names.module)
    if is_reserved or names.module in ("latte", "tests") or names.component[0].isdigit():
        raise LatteError(
            f'a package called "{package_name}" would hide another one',
            hint=f"try latte-{names.component.lstrip('0123456789') or 'colours'}-plugin",
        )
    return names


def refuse_taken(names: Names, kind: Kind, registry: Registry) -> None:
    """Raise `LatteError` if an installed package, or a component of `kind`, has one of the names.

    Package indexes are not asked.
    """
    suggested_name = f"latte-my-{names.component}"
    if owner := _installed(names):
        raise LatteError(
            f'the name "{names.distribution}" is taken: {owner} is installed',
            hint=f"try {suggested_name}; to write that package again, uninstall it first",
        )
    for component in registry.all(kind):
        if component.spec.name == names.component:
            raise LatteError(
                f'{component.package} has a {kind} called "{names.component}"',
                hint=f"recipes could not use the short name of either: try {suggested_name}",
            )


def _installed(names: Names) -> str | None:
    """Return name and version of the package that has the package's or the module's name."""
    for distribution in (names.distribution, *packages_distributions().get(names.module, ())):
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return None
