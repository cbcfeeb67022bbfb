"""Step 3 of loading a recipe: merge its layers, and each control over the recipe.

Comes in: layers in full form, each after those that it changes. Goes out: one document with the
whole recipe, and the document of each of its variants: of the recipe itself, and of its controls
(variants that run for comparison, which list only the keys that differ).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from latte.interfaces import LatteError
from latte.interfaces.errors import suggestion
from latte.io.paths import is_label
from latte.recipe.component import unusable
from latte.recipe.errors import EXPECTED, Mistakes, wrong_type
from latte.recipe.model import CONTROL_KEYS, SHARED, component_at, component_name
from latte.recipe.places import (
    DESCRIBERS,
    LEARNERS,
    MAIN,
    Document,
    KeyPath,
    Layer,
    Place,
    dotted,
    item_names,
    paths,
)
from latte.registry.registry import Registry
from latte.registry.spec import NAME

ValueT = TypeVar("ValueT")

_TAKEN = ("zero-shot", "adapted", "mixed")
"""Names that no control may have, because reports give them to the run's own models."""


@dataclass(frozen=True)
class Merged:
    """A recipe that is merged from its layers."""

    whole: Document
    """The whole recipe; its controls are written as changes."""
    variants: Mapping[KeyPath, Document]
    """The recipe without controls (key path: empty), and each control merged over it."""
    bases: tuple[Path, ...]
    """Files that the recipe extends, directly or through another file."""


def merged(layers: Sequence[Layer], registry: Registry, mistakes: Mistakes) -> Merged:
    """Return the recipe of the last of the `layers`, merged over all layers that it changes."""
    complete: dict[str, Document] = {}
    for layer in layers:
        document = Document({}, {})
        for part in (*(Layer(base, complete[base]) for base in layer.bases), layer):
            document = _Merge(document, part, registry, mistakes).document()
        complete[layer.source] = document
    top_document = complete[layers[-1].source]
    base = top_document.without(["controls"])
    variants: dict[KeyPath, Document] = {(): base}
    for name, control in _controls(top_document, mistakes).items():
        prefix: KeyPath = ("controls", name)
        merge = _Merge(base, Layer(name, control), registry, mistakes, prefix)
        variants[prefix] = merge.document()
    files = [Path(layer.source) for layer in layers if not layer.key]
    return Merged(top_document, variants, tuple(files[:-1]))


@dataclass
class _Merge:
    """One merge of a layer over a base.

    Two mappings are merged key by key, unless they name different components. A mapping over a list
    changes the items that its keys name, by name or by index. Lists of a single learner or
    describer are merged like mappings. The package requirements of both are kept, and
    `controls: {}` removes all controls. All other values of the layer replace those of the base,
    and so does the value of a `--set`.
    """

    base: Document
    layer: Layer
    registry: Registry
    mistakes: Mistakes
    prefix: KeyPath = ()
    """Prefix of key paths in messages: `("controls", NAME)` for a control."""
    places: dict[KeyPath, Place] = field(default_factory=dict)
    """Places of the layer's values, by their key paths in the result."""

    def document(self) -> Document:
        """Return the merged document."""
        data = self._value(self.base.data, self.layer.document.data, (), ())
        return self.base.changed(data, self.places)

    def _value(self, base: Any, change: Any, path: KeyPath, written: KeyPath) -> Any:
        """Return `change` merged over `base`."""
        is_value = written == self.layer.value or not isinstance(change, dict | list)
        if is_value or self._is_other(base, change, path):
            return self._replaced(change, path, written)
        if isinstance(change, list):
            return self._list(base, change, path, written)
        if isinstance(base, list) or self._lacks_list(base, change, path):
            return self._with_items(base, change, path, written)
        if isinstance(base, dict) or (base is None and self.layer.key):
            self._keep_place(path, written)
            return self._mapping(base or {}, change, path, written)
        if self.layer.key:
            what = f"{dotted(path)} holds a single value, and nothing can be set below it"
            return self._refused(base, path, written, LatteError(what))
        return self._replaced(change, path, written)

    def _mapping(
        self, base: Mapping[str, Any], change: Mapping[str, Any], path: KeyPath, written: KeyPath
    ) -> dict[str, Any]:
        return {
            **base,
            **{
                key: self._value(base.get(key), value, (*path, key), (*written, key))
                for key, value in change.items()
            },
        }

    def _list(self, base: Any, change: list[Any], path: KeyPath, written: KeyPath) -> list[Any]:
        if path == ("requires",) and isinstance(base, list):
            inherited = [requirement for requirement in base if requirement not in change]
            return [*self._replaced(change, path, written), *inherited]
        if _are_single(base, change, path):
            self._keep_place(path, written)
            return [self._value(base[0], change[0], (*path, 0), (*written, 0))]
        return self._replaced(change, path, written)

    def _with_items(
        self, base: Any, change: Mapping[str, Any], path: KeyPath, written: KeyPath
    ) -> Any:
        """Return the list `base` with the changes of its items, which `change` names."""
        items = [*(base or [])]
        for key, value in change.items():
            try:
                index = self._index(base, path, (*written, key))
            except LatteError as error:
                self._refused(base, path, (*written, key), error)
                continue
            if index == len(items):
                self._keep_place(path, written)
                items.append({})
            items[index] = self._value(items[index], value, (*path, index), (*written, key))
        return items or base

    def _index(self, items: Any, path: KeyPath, written: KeyPath) -> int:
        """Return the index of the list item that the last key of `written` names.

        Raises `LatteError` if there is no such item, or no list.
        """
        key = str(written[-1])
        if self.layer.document.nearest(written).is_short:
            return self._only_item(items or [], path, written)
        if items is None:
            what = f"the recipe has no list {dotted(path)}, so it has no item {key}"
            raise LatteError(what, hint=f"Set all of it: --set '{dotted(path)}=[...]'")
        return item_index(items, path, key)

    def _only_item(self, items: Sequence[Any], path: KeyPath, written: KeyPath) -> int:
        """Return the index of the item for which a short form such as `loss` stands."""
        if len(items) > 1:
            what = f"the recipe has {len(items)} {path[-1]}, and this does not name one of them"
            below = (self.layer.value or ())[len(written) :]
            raise LatteError(what, hint=f"Write {dotted((*path, 'NAME', *below))}.")
        return 0

    def _lacks_list(self, base: Any, change: Mapping[str, Any], path: KeyPath) -> bool:
        """Return True if a `--set` changes an item of a list that the recipe does not have."""
        is_list = path[-1:] == (LEARNERS,) or component_at((*path, 0)) is not None
        return (
            base is None and self.layer.key != () and (is_list or all(map(str.isdecimal, change)))
        )

    def _is_other(self, base: Any, change: Any, path: KeyPath) -> bool:
        """Return True if two mappings name different components, or `change` has no controls."""
        if not (isinstance(base, dict) and isinstance(change, dict)):
            return False
        name = component_name(change, path, self.registry)
        is_other = name is not None and name != component_name(base, path, self.registry)
        return is_other or (path == ("controls",) and not change)

    def _replaced(self, change: ValueT, path: KeyPath, written: KeyPath) -> ValueT:
        """Return `change`, whose values keep their places."""
        for below in paths(change):
            self.places[(*path, *below)] = self.layer.document.nearest((*written, *below))
        return change

    def _keep_place(self, path: KeyPath, written: KeyPath) -> None:
        """Keep the place of a value of which parts are changed; a `--set` has no better one."""
        if not (self.layer.key and path in self.base.places):
            self.places[path] = self.layer.document.nearest(written)

    def _refused(self, base: ValueT, path: KeyPath, written: KeyPath, error: LatteError) -> ValueT:
        """Report the mistake at `written`, and return `base` unchanged."""
        place = self.layer.document.nearest(written)
        shown = self.layer.key or (*self.prefix, *written)
        self.mistakes.add(place, written, error.what, error.hint, shown)
        if path not in self.base.places:  # of a list that is absent, nothing else is reported
            self.places[path] = replace(place, is_broken=True)
        return base


def _are_single(base: Any, change: Any, path: KeyPath) -> bool:
    """Return True for lists of one describer, or of one learner with the same name."""
    if not (isinstance(base, list) and isinstance(change, list) and len(base) == len(change) == 1):
        return False
    names = [item.get(NAME, MAIN) if isinstance(item, dict) else None for item in (*base, *change)]
    return path[-1:] == (DESCRIBERS,) or (path[-1:] == (LEARNERS,) and names[0] == names[1])


def item_index(items: Sequence[Any], path: KeyPath, key: str) -> int:
    """Return the index of the item of the list at `path` that `key` names by index or by name.

    Raises `LatteError` if there is none, or several.
    """
    names = item_names(items)
    indices = [index for index, name in enumerate(names) if name == key]
    if key.isdecimal():
        indices = [int(key)]
    if len(indices) > 1:
        places = " or ".join(dotted((*path, index)) for index in indices)
        raise LatteError(
            f'{dotted(path)} has {len(indices)} items "{key}"', hint=f"Write {places}."
        )
    if indices and indices[0] < len(names):
        return indices[0]
    items_in_words = f"its items are 0 to {len(names) - 1}" if names else "it is empty"
    known_names = [name for name in names if name]
    by_name = f" {suggestion(key, known_names, 'By name')}" if known_names else ""
    raise LatteError(
        f"{dotted(path)} is a list without an item {key}",
        hint=f"Items are counted from 0; {items_in_words}.{by_name}",
    )


def _controls(document: Document, mistakes: Mistakes) -> dict[str, Document]:
    """Return the changes of each valid control by name; null controls are left out."""
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
