"""`latte components`: list the components that recipes can name, or show one with its options."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from latte.cli import completion
from latte.cli.output import echo, print_json, results
from latte.cli.shared import JsonOption, known_kind
from latte.interfaces import Options
from latte.recipe.layout import SEVERAL, SINGLE
from latte.registry.plugin import Registered, find_origin
from latte.registry.registry import Registry, load_registry
from latte.registry.spec import KINDS, Kind
from latte.report.terminal import fitted


def components(
    kind: Annotated[
        str | None,
        typer.Argument(help=f"One of: {', '.join(KINDS)}.", autocompletion=completion.kinds),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this component's options.", autocompletion=completion.component_names
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the components that recipes can name, or show one with its options."""
    chosen = None if kind is None else known_kind(kind)
    registry = load_registry()
    if chosen is None or name is None:
        _list(registry.all(chosen), chosen, json=json)
    else:
        _show(registry, registry.get(chosen, name), name, json=json)


def _list(found: Sequence[Registered], kind: Kind | None, *, json: bool) -> None:
    if json:
        print_json([_plain(registered) for registered in found])
        return
    rows = [(one.spec.kind, one.spec.name, one.distribution, one.spec.summary) for one in found]
    results().print(fitted(("kind", "name", "package", "summary"), rows))
    if kind is None:
        echo("Options, and how a recipe names a component: latte components KIND NAME")
    else:
        echo(f"In a recipe: {in_recipe(kind, 'NAME')}. Options: latte components {kind} NAME")


def in_recipe(kind: Kind, name: str, rows: Sequence[OptionRow] = ()) -> str:
    """Return the line of a recipe that names a component, for example `labels: [current]`.

    With `rows`, the line is `loss: {use: NAME, OPTION: ...}` with each required option.
    """
    if kind == "model":
        return f"model: plugin:{name}"
    required = "".join(f", {row.name}: ..." for row in rows if row.required and "." not in row.name)
    written = f"{{use: {name}{required}}}" if rows else name
    if kind in SINGLE.values():
        return f"{_key(SINGLE, kind)}: {written}"
    return f"{_key(SEVERAL, kind)}: [{written}]"


def _key(keys: Mapping[str, Kind], wanted: Kind) -> str:
    return next(key for key, kind in keys.items() if kind == wanted)


def _show(registry: Registry, registered: Registered, name: str, *, json: bool) -> None:
    options = registry.options_model(registered) if registered.spec.kind != "model" else None
    rows = list(option_rows(options)) if options else []
    shown = in_recipe(registered.spec.kind, name, rows)
    if json:
        print_json(
            {**_plain(registered), "recipe": shown, "options": [asdict(row) for row in rows]}
        )
    else:
        _print_page(registered, shown, rows)


def _plain(registered: Registered) -> dict[str, Any]:
    return {
        "kind": registered.spec.kind,
        "name": registered.spec.name,
        "full_name": registered.full_name,
        "package": registered.distribution,
        "version": registered.version,
        "summary": registered.spec.summary,
        "defined": find_origin(registered.spec.target),
    }


def _print_page(registered: Registered, line: str, rows: Sequence[OptionRow]) -> None:
    spec = registered.spec
    console = results()
    console.print(f"{spec.kind} {spec.name}", style="bold")
    console.print(spec.summary)
    console.print()
    console.print(f"package  {registered.package} ({registered.full_name})", soft_wrap=True)
    if origin := find_origin(spec.target):
        console.print(f"defined  {origin}", soft_wrap=True)
    else:
        console.print(f"defined  nowhere: {spec.target} does not exist", style="red")
    console.print(f"recipe   {line}", soft_wrap=True)
    console.print()
    if not rows:
        console.print("It has no options.")
        return
    cells = [(row.name, row.type, default_in_words(row), row.help) for row in rows]
    console.print(fitted(("option", "type", "default", "help"), cells))


_WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    type(None): "none",
    Any: "anything",
}
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}


@dataclass(frozen=True)
class OptionRow:
    """Option of a component, for display; nested options have dotted names, as in `a.b`."""

    name: str
    type: str
    default: Any
    """Default as plain data; also None if the option is `required`."""
    required: bool
    help: str


def option_rows(
    model: type[Options], prefix: str = "", given: Mapping[str, Any] | None = None
) -> Iterator[OptionRow]:
    """Yield the options of `model` in the order of its fields, nested ones after their parent.

    `given` has values that override the defaults of `model`; those of nested options come from
    the default of the parent option.
    """
    defaults = {**_defaults(model), **(given or {})}
    for name, field in model.model_fields.items():
        default = defaults.get(name)
        yield OptionRow(
            name=prefix + name,
            type=type_in_words(field.annotation, field.metadata),
            default=default,
            required=name not in defaults and field.is_required(),
            help=field.description or "",
        )
        for nested in _nested(field):
            inner = default if isinstance(default, Mapping) else None
            yield from option_rows(nested, f"{prefix}{name}.", inner)


def default_in_words(row: OptionRow) -> str:
    """Return `required`, or the default as a recipe would write it."""
    if row.required:
        return "required"
    if row.default is None:
        return "none"
    if isinstance(row.default, bool):
        return str(row.default).lower()
    if isinstance(row.default, Mapping):
        return "see below" if row.default else "none"
    if isinstance(row.default, Sequence) and not isinstance(row.default, str):
        return f"[{', '.join(map(str, row.default))}]"
    return str(row.default)


def type_in_words(annotation: Any, metadata: Sequence[object] = ()) -> str:
    """Return a type in plain words, such as `whole number > 0`."""
    limits = [
        f" {sign} {getattr(limit, key)}"
        for limit in metadata
        for key, sign in _LIMITS.items()
        if getattr(limit, key, None) is not None
    ]
    return _words(annotation) + ",".join(limits)


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *metadata = arguments
        return type_in_words(inner, [one for item in metadata for one in _limits(item)])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, arguments))
    if origin is tuple and Ellipsis not in arguments:
        kinds = list(dict.fromkeys(map(_words, arguments)))
        return f"list of {len(arguments)}: {', '.join(kinds)}"
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping of {' to '.join(map(_words, arguments))}"
    if arguments:
        return f"list of {_words(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return "options"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(item: object) -> Sequence[object]:
    """Return the limits in one item of `Annotated`; an item such as `Field(ge=0)` holds a list."""
    return item.metadata if isinstance(item, FieldInfo) else (item,)


def _nested(field: FieldInfo) -> list[type[Options]]:
    choices = (field.annotation, *get_args(field.annotation))
    return [one for one in choices if isinstance(one, type) and issubclass(one, Options)]


def _defaults(model: type[Options]) -> dict[str, Any]:
    """Return the defaults by field name as plain data.

    Required fields, and defaults that are computed from other fields, are left out.
    """
    values = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not (field.is_required() or field.default_factory_takes_validated_data)
    }
    return model.model_construct(**values).model_dump(mode="json", include=set(values))
