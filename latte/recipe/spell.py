"""Step 2 of loading a recipe: write short forms in full.

Comes in: one layer of a recipe, as it is written. Goes out: the layer in which `labels: [NAME]` is
`labels: [{use: NAME}]`, and the keys in `SHORT` are items of the lists `learners` and `describers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from latte.recipe.errors import Mistakes
from latte.recipe.model import component_at
from latte.recipe.places import (
    DESCRIBERS,
    LEARNERS,
    SHORT,
    Document,
    KeyPath,
    Layer,
    Place,
    full_path,
)
from latte.registry.spec import USE


def spelled_out(layer: Layer, mistakes: Mistakes) -> Layer:
    """Return the layer with every short form written in full, so that others see one form."""
    written = layer.document.places
    places = {full_path(path): place for path, place in written.items()}
    data = _Speller(written, places, mistakes).full(layer.document.data, ())
    return replace(layer, document=Document(data, places))


@dataclass
class _Speller:
    """Writes short forms in full; key paths of its methods are those of the short forms."""

    written: Mapping[KeyPath, Place]
    places: dict[KeyPath, Place]
    """Places of the result, to which places of values that are not written are added."""
    mistakes: Mistakes

    def full(self, value: Any, path: KeyPath) -> Any:
        """Return the value at `path` with every short form written in full."""
        if isinstance(value, str) and component_at(full_path(path)):
            self.places[(*full_path(path), USE)] = self.written[path]
            return {USE: value}
        if isinstance(value, list):
            return [self.full(below, (*path, index)) for index, below in enumerate(value)]
        if not isinstance(value, dict):
            return value
        entries = {key: self.full(below, (*path, key)) for key, below in value.items()}
        is_control = len(path) == 2 and path[0] == "controls"
        return self._lists(entries, path) if is_control or not path else entries

    def _lists(self, entries: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        """Return the keys of a recipe or control, with lists in place of the keys in `SHORT`."""
        result = {key: value for key, value in entries.items() if key not in SHORT}
        for key, (name, *_) in SHORT.items():
            if key not in entries:
                continue
            if name in entries:
                self._refuse_both(key, str(name), entries, path)
            elif name == DESCRIBERS:
                result[name] = [] if entries[key] is None else [entries[key]]
                self._add_list((*path, name), self.written[(*path, key)])
            else:
                (learner,) = result.setdefault(str(name), [{}])
                learner[key] = entries[key]
                self._add_list((*path, name), self.written[path])
        return result

    def _add_list(self, path: KeyPath, place: Place) -> None:
        self.places[path] = self.places[(*path, 0)] = replace(place, text=None, is_short=True)

    def _refuse_both(self, key: str, name: str, entries: Mapping[str, Any], path: KeyPath) -> None:
        if name == LEARNERS:
            what = f'"{key}" cannot stand beside "{name}": each learner has its own'
            hint = f'Move "{key}" into the learners, or remove "{name}".'
            self.mistakes.add(self.written[(*path, key)], (*path, key), what, hint)
        elif entries[key] is not None:
            what = f'"{name}" cannot stand beside "{key}"'
            hint = f'Move the {key} into the list, or remove "{name}".'
            self.mistakes.add(self.written[(*path, name)], (*path, name), what, hint)
