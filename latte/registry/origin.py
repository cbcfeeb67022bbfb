"""Where a component is defined, found by reading files: nothing is imported."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path


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
