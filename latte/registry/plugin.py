"""What discovery finds: plugins with their state, and the components that they provide."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
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


# Where a component is defined, found by reading files: nothing is imported.


@dataclass(frozen=True)
class Origin:
    """A place in a source file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def find_origin(target: str) -> Origin | None:
    """Where `"package.module:Name"` is defined, or None if there is no such thing."""
    module, _, name = target.partition(":")
    file = _source_file(module)
    if file is None:
        return None
    for statement in ast.parse(file.read_bytes()).body:
        if name in _names(statement):
            return Origin(file, statement.lineno)
    return None


def _source_file(module: str) -> Path | None:
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return [name]
        case ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []
