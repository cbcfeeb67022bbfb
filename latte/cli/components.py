"""`latte components`: list the components that recipes can name, or show one with its options."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from latte.cli.shared import PluginOption, complete_component, complete_kind, known_kind
from latte.interfaces import LatteError, Options
from latte.interfaces.errors import did_you_mean
from latte.recipe.fields import models_in
from latte.recipe.model import RecipeKeys, component_at
from latte.recipe.places import SHORT
from latte.registry.registry import load_registry
from latte.registry.spec import KINDS, Kind, Registered
from latte.report.output import echo, results
from latte.report.terminal import fitted


def components(
    kind: Annotated[
        str | None,
        typer.Argument(
            help=f"One of: {', '.join(KINDS)}; or the name of a component.",
            autocompletion=complete_kind,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(help="Show this component's options.", autocompletion=complete_component),
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """List the components that recipes can name, with their options."""
    if kind is not None and name is not None:
        _show(load_registry().get(known_kind(kind), name), name)
        return
    if kind is not None and kind not in KINDS:
        _show_all_named(kind)
        return
    checked_kind = None if kind is None else known_kind(kind)
    registered = load_registry().all(checked_kind)
    rows = [
        (component.spec.kind, component.spec.name, component.distribution, component.spec.summary)
        for component in registered
    ]
    results().print(fitted(("kind", "name", "package", "summary"), rows))
    if checked_kind is None:
        echo("Options, and how a recipe names a component: latte components NAME")
    else:
        line = in_recipe(checked_kind, "NAME")
        echo(f"In a recipe: {line}. Options: latte components {checked_kind} NAME")


def in_recipe(kind: Kind, name: str, rows: Sequence[OptionRow] = ()) -> str:
    """Return a line for a recipe that names a component, such as `labels: [nearest]`.

    `rows` are all options of the component; the line contains the required options.
    """
    if kind == "model":
        return f"model: plugin:{name}"
    required = "".join(f", {row.name}: ..." for row in rows if row.required and "." not in row.name)
    written = f"{{use: {name}{required}}}" if rows else name
    places = [*SHORT.items(), *((key, (key,)) for key in RecipeKeys.model_fields)]
    lists = [(key, (key, 0)) for key in RecipeKeys.model_fields]
    for key, path in (*places, *lists):
        component = component_at(path)
        if component is not None and component.kind == kind:
            return f"{key}: [{written}]" if (key, path) in lists else f"{key}: {written}"
    raise AssertionError(f"no key of a recipe names components of kind {kind}")


def _show_all_named(name: str) -> None:
    """Show each component called `name`, of any kind. Raises `LatteError` if there is none."""
    components = load_registry().all()
    namesakes = [part for part in components if name in (part.spec.name, part.full_name)]
    if not namesakes:
        names = [*KINDS, *(component.spec.name for component in components)]
        hint = f"{did_you_mean(name, names)} All names: latte components".strip()
        raise LatteError(f'there is no component or kind called "{name}"', hint=hint)
    for number, component in enumerate(namesakes):
        echo("\n" if number else "", nl=False)
        _show(component, name)


def _show(registered: Registered, name: str) -> None:
    registry, spec = load_registry(), registered.spec
    rows = [] if spec.kind == "model" else [*option_rows(registry.options_model(registered))]
    console = results()
    console.print(f"{spec.kind} {spec.name}", style="bold")
    console.print(f"{spec.summary}\n")
    where = f"package  {registered.package} ({registered.full_name})\ndefined  {spec.target}"
    console.print(f"{where}\nrecipe   {in_recipe(spec.kind, name, rows)}\n", soft_wrap=True)
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
    """Option of a component, as a row of a table. Option b inside option a is called `a.b`."""

    name: str
    type: str
    default: Any
    """Default value as plain data. None means the default None, or no default (see `required`)."""
    required: bool
    help: str


def option_rows(
    model: type[Options], prefix: str = "", outer_defaults: Mapping[str, Any] | None = None
) -> Iterator[OptionRow]:
    """Yield the options of `model`, each followed by its nested options.

    `outer_defaults` has defaults by option name; they replace the defaults of `model`. For nested
    options, it is the default of the outer option.
    """
    # Required fields have no default, and some defaults are computed from other fields.
    values = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not (field.is_required() or field.default_factory_takes_validated_data)
    }
    plain = model.model_construct(**values).model_dump(
        mode="json", include=set(values), warnings=False
    )
    defaults = {**plain, **(outer_defaults or {})}
    for name, field in model.model_fields.items():
        default = defaults.get(name)
        yield OptionRow(
            name=prefix + name,
            type=type_in_words(field.annotation, field.metadata),
            default=default,
            required=name not in defaults and field.is_required(),
            help=field.description or "",
        )
        for nested in models_in(field.annotation):
            if issubclass(nested, Options):
                inner = default if isinstance(default, Mapping) else None
                yield from option_rows(nested, f"{prefix}{name}.", inner)


def default_in_words(row: OptionRow) -> str:
    """Return the default of an option in recipe syntax, or the word `required`."""
    if row.required:
        return "required"
    match row.default:
        case None:
            return "none"
        case dict():
            return "see below" if row.default else "none"
        case bool():
            return str(row.default).lower()
        case list():
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
        inner, *items = arguments
        limits = [item.metadata if isinstance(item, FieldInfo) else (item,) for item in items]
        return type_in_words(inner, [*chain(*limits)])
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
