"""What discovery finds: plugins with their state, and the components that they provide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latte.registry.spec import CommandSpec, ComponentSpec

BUILTIN_DISTRIBUTION = "latte-clip"

Status = Literal["ok", "broken", "incompatible", "blocked", "disabled"]


@dataclass(frozen=True)
class Plugin:
    """One installed package that offers components, whether or not it could be loaded."""

    key: str
    """Name of its entry point: the import package."""
    distribution: str
    """Name of the pip package, normalised: lower case, `-` between words."""
    version: str
    status: Status
    """`blocked`: left out by the environment variable `LATTE_PLUGINS`; `disabled`: by
    `latte plugins disable`. Both are never loaded."""
    error: str | None = None
    """One line, for every status but `ok`."""
    detail: str | None = None
    """The traceback, where an exception made the plugin `broken`."""
    specs: tuple[ComponentSpec, ...] = ()
    """What it declares; a plugin that is not `ok` may have declared some before it failed."""
    commands: tuple[CommandSpec, ...] = ()
    """What it adds to the command line."""

    @property
    def package(self) -> str:
        """Package and version, as messages name it."""
        return f"{self.distribution} {self.version}"

    @property
    def failed(self) -> bool:
        """Whether the package was asked for its components and could not answer."""
        return self.status in ("broken", "incompatible")


@dataclass(frozen=True)
class Registered:
    """A component that recipes can name, and the package that provides it."""

    spec: ComponentSpec
    distribution: str
    version: str

    @property
    def full_name(self) -> str:
        """`distribution/name`: unique among the components of a kind, whatever is installed."""
        return f"{self.distribution}/{self.spec.name}"

    @property
    def package(self) -> str:
        """Package and version, as messages name it."""
        return f"{self.distribution} {self.version}"
