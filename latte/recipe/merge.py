"""Merge recipes with their changes: what they extend, controls, and `--set`.

Plain data are merged; every value keeps its place. A control is a variant of a recipe that runs for
comparison, and lists only the keys that differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.io.paths import is_label
from latte.recipe.component import unusable, written_name
from latte.recipe.document import DocumentBuilder, spelled_out
from latte.recipe.errors import EXPECTED, Mistakes, wrong_type
from latte.recipe.fields import KeyPath, value_at, with_value
from latte.recipe.model import CONTROL_KEYS, SHARED, component_at
from latte.recipe.places import (
    DESCRIBERS,
    LEARNERS,
    MAIN,
    OVERRIDE,
    Document,
    Place,
    dotted,
    full_path,
    item_names,
)
from latte.registry.registry import Registry
from latte.registry.spec import NAME, USE

_TAKEN = ("zero-shot", "adapted", "mixed")
"""Names that no control may have, because reports give them to the run's own models."""
_COMMAND_LINE = Place(OVERRIDE)


def merged(base: Document, change: Document, registry: Registry) -> Document:
    """Return `base` with the values of `change` merged over it.

    Two mappings are merged key by key, unless they name different components or learners. All
    other values of `change` replace the values of `base`, but lists of a single learner or
    describer are merged like mappings. The package requirements of both are kept. `controls: {}`
    in `change` removes all controls.
    """
    data = _merged(base.data, change.data, (), registry)
    requirements, inherited = change.data.get("requires"), base.data.get("requires")
    if isinstance(requirements, list) and isinstance(inherited, list):
        data["requires"] = [
            *requirements,
            *(requirement for requirement in inherited if requirement not in requirements),
        ]
    return base.changed(data, change.places)


def _merged(base: Any, change: Any, path: KeyPath, registry: Registry) -> Any:
    if _single_item(base, path) and _single_item(change, path):
        return [_merged(base[0], change[0], (*path, 0), registry)]
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    if path == ("controls",) and not change:
        return change
    name = _identity(change, path, registry)
    if name and name != _identity(base, path, registry):
        return change
    new = {
        key: _merged(base[key], value, (*path, key), registry) if key in base else value
        for key, value in change.items()
    }
    return {**base, **new}


def _single_item(value: Any, path: KeyPath) -> bool:
    """Return True for a list of one learner or describer, which may be written as one."""
    return path[-1:] in ((LEARNERS,), (DESCRIBERS,)) and isinstance(value, list) and len(value) == 1


def _identity(value: Mapping[str, Any], path: KeyPath, registry: Registry) -> str | None:
    """Return the name of a learner, or the unique name of a component; None if it has none."""
    if path[-2:-1] == (LEARNERS,):
        return str(value.get(NAME, MAIN))
    component, use = component_at(path), value.get(USE)
    if component is None or not isinstance(use, str):
        return None
    for registered in registry.all(component.kind):
        if use in (registered.spec.name, registered.full_name):
            return written_name(registry, registered)
    return use


def with_written_names(value: Any, registry: Registry, path: KeyPath = ()) -> Any:
    """Return a copy of plain data in which components have their unique names."""
    if isinstance(value, list):
        return [
            with_written_names(item, registry, (*path, index)) for index, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    below = {key: with_written_names(item, registry, (*path, key)) for key, item in value.items()}
    name = _identity(value, path, registry) if component_at(path) else None
    return {**below, USE: name} if name else below


def controls_of(document: Document, mistakes: Mistakes) -> dict[str, Document]:
    """Return a recipe's valid controls (variants for comparison) by name, without null controls."""
    controls, path = document.data.get("controls"), ("controls",)
    if controls is None:
        return {}
    if not isinstance(controls, dict):
        place = document.places[path]
        mistakes.add(place, path, *wrong_type([EXPECTED["dict_type"]], controls, place))
        return {}
    return {
        name: _without_shared_keys(document, name, mistakes)
        for name, control in controls.items()
        if control is not None and _is_usable(document, name, mistakes)
    }


def _is_usable(document: Document, name: str, mistakes: Mistakes) -> bool:
    path = ("controls", name)
    control, place = document.data["controls"][name], document.places[path]
    if not is_label(name):
        mistakes.add(place, path, *unusable(name))
    elif name in _TAKEN:
        what = f'every report has a model called "{name}" already'
        mistakes.add(place, path, what, "Give the control another name.")
    elif not isinstance(control, dict):
        mistakes.add(place, path, *wrong_type([EXPECTED["dict_type"]], control, place))
    else:
        return True
    return False


def _without_shared_keys(document: Document, name: str, mistakes: Mistakes) -> Document:
    control = document.below(("controls", name))
    shared_keys = [key for key in control.data if key in (*SHARED, "controls")]
    for key in shared_keys:
        what = f'a control cannot set "{key}"'
        hint = f"A control can set: {', '.join(CONTROL_KEYS)}."
        mistakes.add(control.places[(key,)], ("controls", name, key), what, hint)
    return control.without(shared_keys)


def apply_overrides(
    document: Document, overrides: Sequence[str], environment: Mapping[str, str], mistakes: Mistakes
) -> Document:
    """Return the recipe changed by `overrides`: texts such as `train.max_steps=100`.

    The key of a list item is its index or its name, for example `descriptions.image.prompt=...`. If
    `.use=` names another component, the options of the previous component are dropped.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        path: KeyPath = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        if not equals or "" in path:
            what, example = "is not KEY.PATH=VALUE", "As in: --set train.max_steps=100"
            mistakes.add(_COMMAND_LINE, (text,), what, example)
        elif path[0] == "extends":
            what = "--set cannot change what a recipe extends"
            mistakes.add(_COMMAND_LINE, path, what, "Write a recipe of your own that extends both.")
        else:
            try:
                builder = DocumentBuilder(OVERRIDE, environment, mistakes)
                document = _put(document, path, value, builder)
            except LatteError as error:
                mistakes.add(_COMMAND_LINE, path, error.what, error.hint)
    return document


def _put(document: Document, path: KeyPath, value: str, builder: DocumentBuilder) -> Document:
    """Return the recipe in which the value at the key path `path` is the text `value` of a --set.

    Raises `LatteError` if there is no place for it.
    """
    document = _with_list(document, path)
    full = _existing(document.data, full_path(path))
    new = spelled_out(builder.build_text(value.strip(), full), builder.mistakes, full)
    data = new.data
    if path[-1:] == ("describer",):  # null removes the only describer
        full, data = full[:-1], [] if data is None else [data]
    elif full[-1] == USE and component_at(full[:-1]) and value_at(document.data, full) != data:
        full, data = full[:-1], {USE: data}
    above = dict.fromkeys((full[:end] for end in range(len(full))), _COMMAND_LINE)
    new_places = {**above, **document.places, **new.places}
    return document.changed(with_value(document.data, full, data), new_places)


def _with_list(document: Document, path: KeyPath) -> Document:
    """Return the recipe with the list of one item that a short form such as `loss` stands for."""
    full = full_path(path)
    if full == path:
        return document
    end = full.index(0)
    items = value_at(document.data, full[:end])
    if isinstance(items, list) and len(items) > 1 and end + 1 < len(full):
        name, key = full[end - 1], full[end + 1 :]
        what = f"the recipe has {len(items)} {name}, and this does not name one of them"
        raise LatteError(what, hint=f"Write {dotted((*full[:end], 'NAME', *key))}.")
    if items:
        return document
    places = dict.fromkeys((full[:end], full[: end + 1]), replace(_COMMAND_LINE, is_short=True))
    return document.changed(with_value(document.data, full[:end], [{}]), places)


def _existing(data: Any, path: KeyPath) -> KeyPath:
    """Return `path` with an index in place of each name of a list item.

    Raises `LatteError` if a list or one of its items does not exist.
    """
    full: KeyPath = ()
    for key, below in zip(path, (*path[1:], None), strict=True):
        value = value_at(data, full)
        if isinstance(value, list):
            full = (*full, _index(value, full, key))
            continue
        if not isinstance(value, dict | None):
            what = f"{dotted(full)} holds a single value, and nothing can be set below it"
            raise LatteError(what)
        full = (*full, str(key))
        is_list = isinstance(below, int) or key == LEARNERS or component_at((*full, 0))
        if below is not None and is_list and value_at(data, full) is None:
            what = f"the recipe has no list {dotted(full)}, so it has no item {below}"
            raise LatteError(what, hint=f"Set all of it: --set '{dotted(full)}=[...]'")
    return full


def _index(items: Sequence[Any], path: KeyPath, key: str | int) -> int:
    """Return the index of the list item that `key` names by index or by name."""
    names = item_names(items)
    indices = [key] if isinstance(key, int) else [i for i, name in enumerate(names) if name == key]
    if len(indices) > 1:
        paths = " or ".join(dotted((*path, index)) for index in indices)
        raise LatteError(f'{dotted(path)} has {len(indices)} items "{key}"', hint=f"Write {paths}.")
    if indices and indices[0] < len(names):
        return indices[0]
    items_in_words = f"its items are 0 to {len(names) - 1}" if names else "it is empty"
    known_names = [name for name in names if name]
    by_name = f" {suggestion(str(key), known_names, 'By name')}" if known_names else ""
    raise LatteError(
        f"{dotted(path)} is a list without an item {key}",
        hint=f"Items are counted from 0; {items_in_words}.{by_name}",
    )
