"""Public interface as text; `python -m tests.helpers.api_surface` records it.

It writes `docs/plugin-interface.txt`, with signatures, and the tables of `docs/api.md`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import latte_author.testing
from pydantic import BaseModel

import latte.api
import latte.api.output
import latte.api.plugins
import latte.api.runs
import latte.api.sources

FILE = Path(__file__).parents[2] / "docs" / "plugin-interface.txt"
PAGE = FILE.with_name("api.md")
_MODULES = (
    latte.api,
    latte.api.sources,
    latte.api.runs,
    latte.api.output,
    latte.api.plugins,
    latte_author.testing,
)
_TABLES = re.compile(r"(?<=api_surface` -->\n).*?(?=<!-- end -->)", re.DOTALL)


def surface() -> str:
    """Return every public name with its signature, fields and methods, one per line."""
    modules = ((latte.api, latte.api.__all__), (latte_author.testing, latte_author.testing.__all__))
    lines = [
        line
        for module, names in modules
        for name in sorted(names)
        for line in _described(f"{module.__name__}.{name}", getattr(module, name))
    ]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the text of `docs/api.md` with a table of the public names of each module."""
    tables = []
    for module in _MODULES:
        rows = [f"| `{name}` | {_summary(module, name)} |" for name in sorted(module.__all__)]
        tables.append("\n".join([f"| `{module.__name__}` | |", "|---|---|", *rows]) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    return _TABLES.sub(lambda _: "\n" + "\n".join(tables) + "\n", text)


def _summary(module: Any, name: str) -> str:
    """Return the first paragraph of a docstring as a line; for a value, what it is."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        paragraph = (inspect.getdoc(value) or "").split("\n\n")[0]
        return " ".join(paragraph.replace("|", "\\|").split())
    if get_origin(value) is Annotated:
        return "an option of commands; see `latte run --help`"
    if get_args(value):
        return f"one of {', '.join(f'`{argument}`' for argument in get_args(value))}"
    return f"`{value}`" if isinstance(value, int | str) else "a value"


def mark(text: str) -> str:
    """Return the eight hex digits that the changelog names."""
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _described(name: str, value: Any) -> Iterator[str]:
    if get_args(value):
        yield f"{name} = {' | '.join(map(repr, get_args(value)))}"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})"
        yield from (f"  {line}" for line in sorted(_members(value)))
    elif inspect.isfunction(value):
        yield f"def {name}{_signature(value)}"
    else:
        yield f"{name} = {value if isinstance(value, int) else type(value).__name__}"


def _members(owner: type) -> Iterator[str]:
    """Yield the public members that the class itself defines: fields, methods, properties."""
    is_dataclass = dataclasses.is_dataclass(owner)
    if is_dataclass and hasattr(owner, "__pydantic_config__"):  # pydantic's signature has more
        yield f"__init__({', '.join(_fields(owner))})"
    elif is_dataclass:
        yield f"__init__{_signature(owner)}"
    else:
        yield from _fields(owner)
    for name, member in vars(owner).items():
        if name.startswith("_") and (is_dataclass or name not in ("__init__", "__call__")):
            continue
        if hasattr(member, "_pytestfixturefunction"):  # which pytest 8.3 still calls functions
            continue
        abstract = "abstract " if getattr(member, "__isabstractmethod__", False) else ""
        if inspect.isfunction(member):
            yield f"{abstract}def {name}{_signature(member)}"
        elif isinstance(member, property) and member.fget:
            yield f"{abstract}property {name}{_signature(member.fget)}"


def _fields(owner: type) -> Iterator[str]:
    defaults = vars(owner)
    if issubclass(owner, BaseModel):
        required = {name for name, field in owner.model_fields.items() if field.is_required()}
        defaults = {name: field.default for name, field in owner.model_fields.items()}
        defaults = {name: value for name, value in defaults.items() if name not in required}
    for name, annotation in inspect.get_annotations(owner).items():
        if not name.startswith("_"):
            yield f"{name}: {annotation}" + (f" = {defaults[name]!r}" if name in defaults else "")


def _signature(value: Any) -> str:
    """Return the signature without memory addresses, which change per process."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))


if __name__ == "__main__":
    written = surface()
    FILE.write_text(written, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{FILE}: now name (interface {mark(written)}) in a line of CHANGELOG.md")  # noqa: T201
