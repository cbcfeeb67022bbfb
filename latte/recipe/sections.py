"""Which keys exist in which part of a recipe, so that a misplaced key is sent home."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from latte.interfaces.settings import BackboneSettings, EvaluateSettings, TrainSettings
from latte.recipe.annotations import models_in
from latte.recipe.layout import EXTENDS, KEYS
from latte.recipe.mistakes import suggestion
from latte.recipe.node import KeyPath, dotted

_MOST_PLACES = 3
_DEEPEST = 6
"""Models may contain themselves."""


class Sections:
    """The keys of settings, and of the components that a recipe has chosen."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {key: [""] for key in (*KEYS, EXTENDS)}
        self.add(("backbone",), BackboneSettings)
        self.add(("train",), TrainSettings)
        self.add(("evaluate",), EvaluateSettings)

    def add(self, place: KeyPath, model: type[BaseModel]) -> None:
        """The keys of `model`, and of models in it, exist at `place`."""
        for name, field in model.model_fields.items():
            places = self._places.setdefault(name, [])
            if dotted(place) not in places:
                places.append(dotted(place))
            if len(place) < _DEEPEST:
                for nested in models_in(field.annotation):
                    self.add((*place, name), nested)

    def unknown_key(self, key: str, names: Sequence[str]) -> tuple[str, str]:
        """What to say about `key` where only `names` are possible."""
        what = f'unknown key "{key}"'
        places = self._places.get(key)
        if places:
            homes = [place or "the top of the recipe" for place in places[:_MOST_PLACES]]
            return what, f"It belongs to {' or '.join(homes)}."
        if not names:
            return what, "There is nothing to set here; remove it."
        return what, suggestion(key, names, "All keys here")
