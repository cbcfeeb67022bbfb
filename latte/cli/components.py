"""`latte components`: everything that a recipe can name, and each component's options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from latte.cli.options import OptionRow, default_in_words, option_rows
from latte.cli.output import plain_table, print_json, results
from latte.cli.shared import known_kind
from latte.registry.origin import find_origin
from latte.registry.plugin import Registered
from latte.registry.registry import Registry, load_registry
from latte.registry.spec import KINDS


def components(
    kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(KINDS)}.")] = None,
    name: Annotated[str | None, typer.Argument(help="Show this component's options.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the components that recipes can name, or show one with its options."""
    chosen = None if kind is None else known_kind(kind)
    registry = load_registry()
    if chosen is None or name is None:
        _list(registry.all(chosen), json=json)
    else:
        _show(registry, registry.get(chosen, name), json=json)


def _list(found: Sequence[Registered], *, json: bool) -> None:
    if json:
        print_json([_plain(registered) for registered in found])
        return
    table = plain_table("kind", "name", "package", "summary")
    for one in found:
        cells = (one.spec.kind, one.spec.name, one.distribution, one.spec.summary)
        table.add_row(*map(Text, cells))
    results().print(table)


def _show(registry: Registry, registered: Registered, *, json: bool) -> None:
    options = registry.options_model(registered) if registered.spec.kind != "model" else None
    rows = list(option_rows(options)) if options else []
    if json:
        print_json({**_plain(registered), "options": [asdict(row) for row in rows]})
    else:
        _print_page(registered, rows)


def _plain(registered: Registered) -> dict[str, Any]:
    origin = find_origin(registered.spec.target)
    return {
        "kind": registered.spec.kind,
        "name": registered.spec.name,
        "full_name": registered.full_name,
        "package": registered.distribution,
        "version": registered.version,
        "summary": registered.spec.summary,
        "defined": str(origin) if origin else None,
    }


def _print_page(registered: Registered, rows: Sequence[OptionRow]) -> None:
    spec = registered.spec
    console = results()
    console.print(f"{spec.kind} {spec.name}", style="bold")
    console.print(spec.summary)
    console.print()
    console.print(f"package  {registered.package} ({registered.full_name})", soft_wrap=True)
    origin = find_origin(spec.target)
    if origin:
        console.print(f"defined  {origin}", soft_wrap=True)
    else:
        console.print(f"defined  nowhere: {spec.target} does not exist", style="red")
    console.print()
    console.print(_options_table(rows) if rows else "It has no options.")


def _options_table(rows: Sequence[OptionRow]) -> Any:
    table = plain_table("option", "type", "default", "help")
    for row in rows:
        table.add_row(*map(Text, (row.name, row.type, default_in_words(row), row.help)))
    return table
