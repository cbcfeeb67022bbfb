"""Data about plugins: whether they could be loaded, and which components they declare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latte.registry.spec import CommandSpec, ComponentSpec

BUILTIN_DISTRIBUTION = "latte-clip"

Status = Literal["ok", "broken", "incompatible", "blocked", "disabled"]


@dataclass(frozen=True)
class Plugin:
    """An installed package that declares components, whether it could be loaded or not."""

    key: str
    """Name of the package's entry point, which is also the name of its import package."""
    distribution: str
    """Name of the pip package, normalised: lower case, `-` between words."""
    version: str
    status: Status
    """Result of loading the plugin.

    A plugin is `blocked` if the environment variable `LATTE_PLUGINS` leaves it out, and `disabled`
    if the user ran `latte plugins disable` for it. Such plugins are not loaded."""
    error: str | None = None
    """Reason for the status in one line, for every status except `ok`."""
    detail: str | None = None
    """Traceback of the exception that made the plugin `broken`."""
    specs: tuple[ComponentSpec, ...] = ()
    """Declared components, including those that the plugin declared before it failed."""
    commands: tuple[CommandSpec, ...] = ()
    """Commands that the plugin adds to `latte`."""

    @property
    def package(self) -> str:
        """Return name and version of the package for messages, such as `latte-tiny 0.1.0`."""
        return f"{self.distribution} {self.version}"

    @property
    def failed(self) -> bool:
        """Return True if loading the package failed."""
        return self.status in ("broken", "incompatible")


@dataclass(frozen=True)
class Registered:
    """A component that recipes can name, and the package that provides it."""

    spec: ComponentSpec
    distribution: str
    version: str

    @property
    def full_name(self) -> str:
        """Return `distribution/name`, which is unique among the components of a kind."""
        return f"{self.distribution}/{self.spec.name}"

    @property
    def package(self) -> str:
        """Return name and version of the package for messages."""
        return f"{self.distribution} {self.version}"
