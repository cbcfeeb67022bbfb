"""Load a recipe file into a validated `Recipe`, or raise one error that lists all mistakes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from latte.interfaces import LatteError
from latte.interfaces.errors import nearest
from latte.interfaces.settings import EvaluateSettings, TrainSettings
from latte.recipe.document import read_document
from latte.recipe.errors import Check, Mistakes
from latte.recipe.extends import RecipeFiles
from latte.recipe.fields import (
    KeyPath,
    models_in,
    validated,
    value_at,
)
from latte.recipe.merge import apply_overrides, controls_of, merged, with_written_names
from latte.recipe.model import (
    TOP_KEYS,
    Recipe,
    RecipeKeys,
    component_above,
    component_paths,
)
from latte.recipe.places import (
    DEFAULT,
    ENCODERS,
    SHORT,
    Document,
    dotted,
    paths,
    shown_path,
)
from latte.recipe.shipped import SUFFIXES, is_part, shipped_names
from latte.recipe.variables import (
    Written,
    refuse_in_prompts,
    with_shell_paths,
    without_default_tag,
)
from latte.registry.registry import Registry
from latte.registry.spec import NAME

ModelT = TypeVar("ModelT", bound=BaseModel)

_DEEPEST = 6
"""Largest depth to which nested models are searched, because a model may contain itself."""


def load_recipe(
    path: Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Recipe:
    """Load the recipe in the file `path`, changed by `overrides` such as `train.max_steps=100`.

    `environment` holds the values of `${VAR}`; default: the process's environment. Raises
    `RecipeErrors` with every mistake, or `LatteError` if the file cannot be read or is not YAML.
    """
    variables = os.environ if environment is None else environment
    mistakes = Mistakes()
    refuse_absent_file(path)
    files = RecipeFiles(registry, variables, mistakes)
    document = apply_overrides(files.read(path), overrides, variables, mistakes)
    mistakes.forget_replaced(document)
    recipe = _with_controls(document, registry, mistakes, path)
    mistakes.raise_if_any()
    assert recipe is not None, "whatever is wrong with a recipe is reported"
    return recipe.model_copy(update={"bases": tuple(files.bases)})


def read_settings(path: Path, model: type[ModelT]) -> ModelT:
    """Read a YAML file of settings. Raises `LatteError` that lists every mistake with its line.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Options
        >>> from latte.api.runs import read_settings
        >>> class Trip(Options):
        ...     days: int
        >>> _ = Path("trip.yaml").write_text("days: 3")
        >>> read_settings(Path("trip.yaml"), Trip).days
        3
    """
    check = Check(read_document(path))
    try:
        return validated(model, check.document.data)
    except ValidationError as error:
        check.report(error)
    check.mistakes.raise_if_any()
    raise AssertionError("whatever is wrong with a file is reported")


def _with_controls(
    document: Document, registry: Registry, mistakes: Mistakes, path: Path
) -> Recipe | None:
    """Return the recipe with its controls; None if mistakes were reported."""
    changes = controls_of(document, mistakes)
    base = document.without(["controls"])
    recipe = _checked(Check(base, registry, mistakes=mistakes), path)
    controls: dict[str, Recipe] = {}
    resolved: dict[str, Any] = {}
    for name, change in changes.items():
        check = Check(merged(base, change, registry), registry, ("controls", name))
        control = _checked(check, path)
        mistakes.adopt(check.mistakes)
        resolved[name] = _without_secrets(with_written_names(change.data, registry), change)
        if control is not None:
            controls[name] = control
    if recipe is None or not controls:
        return recipe
    resolved = {**recipe.resolved, "controls": resolved}
    origins = _origins(resolved, document)
    facts = {"controls": controls, "resolved": resolved, "origins": origins}
    return recipe.model_copy(update=facts)


def _checked(check: Check, path: Path) -> Recipe | None:
    """Return the recipe or control in `check`; None if mistakes were reported."""
    check.find_homes = lambda: _homes(check)
    refuse_in_prompts(check)
    check.document = without_default_tag(check.document)
    data = {**with_shell_paths(check.document, check.registry)}
    data[NAME] = data.get(NAME) or _default_name(path)
    try:
        keys = validated(RecipeKeys, data, check, (*SHORT, "controls", "extends"))
    except ValidationError as error:
        check.report(error)
        with suppress(ValidationError):  # for the rules alone, which report to `check`
            RecipeKeys.model_validate(_with_stand_ins(data, check), context=check)
        return None
    if check.has_mistakes():
        return None
    plain = keys.model_dump(mode="json", context=check.registry)
    if not keys.encoders:  # the ID of a run without encoders must not depend on this key
        del plain[ENCODERS]
    resolved = _without_secrets(plain, check.document)
    origins = _origins(resolved, check.document)
    return Recipe.model_construct(**dict(keys), path=path, resolved=resolved, origins=origins)


def _default_name(path: Path) -> str:
    """Return the name of a run of the recipe `path`; it is part of the name of the run's folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "recipe"


def _with_stand_ins(data: Any, check: Check) -> Any:
    """Return the data of a recipe with stand-ins for components with mistakes.

    Other values with mistakes are left out, with the key of the mapping to which they belong.
    """
    components = {path: component_above(path) for path in check.wrong}
    stand_ins = {
        head: component.unreadable() for head, component in filter(None, components.values())
    }
    left_out = {_key_of(path) for path, component in components.items() if component is None}

    def changed(value: Any, path: KeyPath) -> Any:
        if path in stand_ins:
            return stand_ins[path]
        if isinstance(value, list):
            return [changed(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        paths_below = {key: (*path, key) for key in value if (*path, key) not in left_out}
        return {key: changed(value[key], below) for key, below in paths_below.items()}

    absent = {str(head[0]): stand_in for head, stand_in in stand_ins.items() if len(head) == 1}
    return {**changed(data, ()), **absent}


def _key_of(path: KeyPath) -> KeyPath:
    """Return the key path of the innermost key of a mapping on the way to `path`."""
    return path if not path or isinstance(path[-1], str) else _key_of(path[:-1])


def _homes(check: Check) -> Mapping[str, Sequence[str]]:
    """Return the sections of the recipe to which each key belongs."""
    homes = {key: ["the top of the recipe"] for key in TOP_KEYS}
    sections: list[tuple[KeyPath, type[BaseModel]]] = [
        (("train",), TrainSettings),
        (("evaluate",), EvaluateSettings),
    ]
    for path, component in component_paths(check.document.data):
        with suppress(LatteError):
            value = value_at(check.document.data, path)
            sections.append((path, component.found(value, check.registry)[1]))
    for path, model in sections:
        for section, key in _keys_below(model, shown_path(check.document, path)):
            homes.setdefault(key, []).append(section)
    return homes


def _keys_below(model: type[BaseModel], section: KeyPath) -> Iterator[tuple[str, str]]:
    """Yield the keys at and below `section`, a `model`, each with its section."""
    for name, about in model.model_fields.items():
        yield dotted(section), name
        for below in models_in(about.annotation) if len(section) < _DEEPEST else ():
            yield from _keys_below(below, (*section, name))


def _without_secrets(plain: Any, document: Document, path: KeyPath = ()) -> Any:
    """Replace each secret value in `plain` by the text in the recipe file, such as `${VAR}`."""
    if isinstance(plain, Mapping):
        return {
            key: _without_secrets(value, document, (*path, key)) for key, value in plain.items()
        }
    if isinstance(plain, list | tuple):
        return [
            _without_secrets(value, document, (*path, index)) for index, value in enumerate(plain)
        ]
    place = document.places.get(path)
    is_secret = place is not None and place.is_secret and isinstance(plain, str)
    return Written(place.text) if place and is_secret else plain


def _origins(resolved: Mapping[str, Any], document: Document) -> dict[str, str]:
    """Return each value's origin, such as `recipe.yaml:3` or `default`, by dotted key path."""
    return {dotted(path): str(document.places.get(path, DEFAULT)) for path in paths(resolved)}


def refuse_absent_file(path: Path) -> None:
    """Raise `LatteError` with the most similar name if the file `path` does not exist."""
    if path.exists():
        return
    if not path.parent.is_dir():
        raise LatteError(f"the folder {path.parent} does not exist", where=str(path))
    recipes = [file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES]
    runnable = [name for name in shipped_names() if not is_part(name)]
    hint = None
    without_suffix = [name for name in recipes if Path(name).stem == path.name]
    if near := next(iter(without_suffix), None) or nearest(path.name, recipes):
        hint = f'Did you mean "{path.parent / near}"?'
    elif near := nearest(path.with_suffix("").as_posix(), runnable):
        hint = f'Did you mean "{near}", which comes with latte? All recipes: latte recipes ls'
    elif not path.suffix:
        hint = "All recipes that come with latte: latte recipes ls"
    raise LatteError("there is no such file", where=str(path), hint=hint)
