"""Recipes with random mistakes: shipped recipes in which a seeded generator changes values."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from yaml import safe_load

from latte.recipe.shipped import find, shipped_names
from tests.helpers.recipes import TRAINING

MutatedValue = tuple[Any, str | int]
"""A mapping or a list, and the key or index of one of its values."""

TRAINING_NAME = "the recipe TRAINING of the tests, which has every key in one file"

ENVIRONMENT = {"IMAGES": "photos", "CLASSES": "classes.txt", "LATTE_DATA": "data", "WORD": "word"}
"""Variables of mutated recipes; `${NOBODY}` is not set."""

_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 1.5, 10**12, "", "7", "some text", "${NOBODY}", "${WORD}", "yes"),
    *([], [1], ["frozen"], {}, {"use": "phrases"}, {"use": 3}, {"sise": 1}, [None], [[]]),
)
_ADDED: tuple[tuple[str, Any], ...] = (
    ("seed", 3),
    ("budget", 30),
    ("oracle", True),
    ("describer", None),
    ("describer", "phrases"),
    ("labels", []),
    ("learners", [{"name": "a"}, {"name": "a"}]),
    ("encoders", [{"use": "dinov2-small", "name": "main"}]),
    ("descriptions", ["class", "image", "image"]),
    ("descriptions", {"image": {"prompt": "What?"}, "9": {}, "gruop": "class"}),
    ("labels", {"frozen": {"weight": 2}, "current": "frozen", "use": "frozen"}),
    ("train", {"max_steps": 5}),
    ("controls", {"b": {"train": {"max_steps": 5}, "describer": None}}),
    ("controls", {"zero-shot": {}, "c": 3, "d": {"seed": 1}, "e": {"labels": ["frosen"]}}),
    ("requires", ["latte-nowhere>=1"]),
    ("guard", {"use": "evidnce"}),
)
_OVERRIDES = (
    "train.max_steps=5",
    "train.max_stps=5",
    "seed=x",
    "seed",
    "labels.0.weight=2",
    "labels.9.weight=2",
    "descriptions.image.prompt=What is it, ${WORD}?",
    "descriptions.nothing.prompt=What?",
    "prototypes.use=templates",
    "prototypes={use: re-estimated}",
    "describer=null",
    "controls={}",
    "controls.without-images.train.max_steps=3",
    "loss=contrastive",
    "loss.temperature=warm",
    "backbone.model.x=1",
    "backbone=${NOBODY}",
    "reporters.0.use=html",
)


@dataclass(frozen=True)
class MutatedRecipe:
    """A recipe that may have mistakes."""

    name: str
    """Name of the recipe that was changed."""
    text: str
    overrides: tuple[str, ...]


def mutated_recipes(count: int, seed: int = 0) -> Iterator[MutatedRecipe]:
    """Yield `count` recipes with one to three random changes; the same for the same `seed`."""
    chance = random.Random(seed)
    names = (*shipped_names(), *[TRAINING_NAME] * 40)
    for number in range(count):
        name = names[number % len(names)]
        written = TRAINING if name == TRAINING_NAME else find(name).read_text(encoding="utf-8")
        recipe = safe_load(written)
        for _ in range(chance.randint(1, 3)):
            chance.choice(CHANGES)(chance, recipe)
        text = _text(recipe)
        if chance.random() < 0.1:
            text = _with_changed_line(chance, text)
        overrides = chance.choices(_OVERRIDES, k=chance.choice((0, 0, 1, 2)))
        yield MutatedRecipe(name, text, tuple(overrides))


def _text(recipe: dict[str, Any]) -> str:
    """Return the recipe as YAML with one line for each key at the top."""
    return "".join(f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in recipe.items())


def _with_changed_line(chance: random.Random, text: str) -> str:
    """Return the text with a line that is left out, repeated, or cut short."""
    lines = text.splitlines() or [""]
    index = chance.randrange(len(lines))
    cut = lines[index][: chance.randint(0, len(lines[index]))]
    lines[index : index + 1] = chance.choice(([], [lines[index]] * 2, [cut]))
    return "\n".join(lines)


def _entries(value: Any) -> Iterator[MutatedValue]:
    """Yield every value inside plain data, with what contains it."""
    keys: Any = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _entries(value[key])


def _any_entry(chance: random.Random, recipe: dict[str, Any]) -> MutatedValue:
    if not recipe:
        recipe["seed"] = 1
    return chance.choice([*_entries(recipe)])


def _replace_a_value(chance: random.Random, recipe: dict[str, Any]) -> None:
    container, key = _any_entry(chance, recipe)
    container[key] = copy.deepcopy(chance.choice(_VALUES))


def _misspell_a_key(chance: random.Random, recipe: dict[str, Any]) -> None:
    container, key = _any_entry(chance, recipe)
    if isinstance(key, str) and len(key) > 1:
        place = chance.randrange(1, len(key))
        container[key[:place] + key[place + 1 :]] = container.pop(key)


def _misspell_a_text(chance: random.Random, recipe: dict[str, Any]) -> None:
    container, key = _any_entry(chance, recipe)
    text = container[key]
    if isinstance(text, str) and len(text) > 1:
        place = chance.randrange(len(text))
        container[key] = text[:place] + text[place + 1 :]


def _remove_a_value(chance: random.Random, recipe: dict[str, Any]) -> None:
    container, key = _any_entry(chance, recipe)
    del container[key]


def _repeat_an_item(chance: random.Random, recipe: dict[str, Any]) -> None:
    if lists := [container for container, _ in _entries(recipe) if isinstance(container, list)]:
        items = chance.choice(lists)
        items.append(copy.deepcopy(chance.choice(items)))


def _move_a_value(chance: random.Random, recipe: dict[str, Any]) -> None:
    container, key = _any_entry(chance, recipe)
    mappings = [
        container[key]
        for container, key in _entries(recipe)
        if isinstance(container[key], dict) and isinstance(key, str)
    ]
    if isinstance(key, str) and mappings:
        chance.choice(mappings)[key] = copy.deepcopy(container[key])


def _add_a_key(chance: random.Random, recipe: dict[str, Any]) -> None:
    key, value = chance.choice(_ADDED)
    recipe[key] = copy.deepcopy(value)


CHANGES: tuple[Callable[[random.Random, dict[str, Any]], None], ...] = (
    _replace_a_value,
    _misspell_a_key,
    _misspell_a_text,
    _remove_a_value,
    _repeat_an_item,
    _move_a_value,
    _add_a_key,
)
