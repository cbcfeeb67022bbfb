"""Load a recipe file into a validated `Recipe`, or raise one error that lists all mistakes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError, Options
from latte.interfaces.errors import nearest
from latte.recipe.components import written_name
from latte.recipe.controls import controls_of, merged, with_written_names
from latte.recipe.extends import RecipeFiles
from latte.recipe.layout import BACKBONE, DEFAULT_BACKBONE, KEYS, LEARNERS, spelled_out
from latte.recipe.mistakes import Mistakes
from latte.recipe.model import Choice, LearnerChoice, Recipe
from latte.recipe.node import DEFAULT, Node, Origin, dotted, find, leaves
from latte.recipe.overrides import apply_overrides
from latte.recipe.reader import RecipeReader
from latte.recipe.shipped import SUFFIXES, is_part, shipped_names
from latte.recipe.variables import Written
from latte.registry.registry import Registry
from latte.registry.spec import BY, NAME, USE

_DEFAULT = Origin(DEFAULT)
_REPORTERS = ("html", "model-card")
_LEARNER_DEFAULTS = {"trainable": "all", "prototypes": "templates"}


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
    root = apply_overrides(files.read(path), overrides, variables, mistakes)
    files.forget_replaced(root)
    recipe = _read_recipe(spelled_out(root), registry, mistakes, path)
    mistakes.raise_if_any()
    assert recipe is not None, "whatever is wrong with a recipe is reported"
    return replace(recipe, bases=tuple(files.bases))


def _read_recipe(
    written: Node, registry: Registry, mistakes: Mistakes, path: Path
) -> Recipe | None:
    controls = controls_of(written, mistakes)
    recipe = _read_variant(written, registry, mistakes, path)
    variants: dict[str, Recipe] = {}
    changes: dict[str, Any] = {}
    for name, control in controls.items():
        own = Mistakes(prefix=("controls", name))
        whole = merged(written.without(["controls"]), control, registry)
        variant = _read_variant(whole, registry, own, path)
        mistakes.adopt(own)
        change = with_written_names(control, registry).plain()
        changes[name] = without_secret_values(change, control)
        if variant:
            variants[name] = variant
    if recipe is None or not controls:
        return recipe
    resolved = {**recipe.resolved, "controls": changes}
    return replace(recipe, controls=variants, resolved=resolved, origins=origins(resolved, written))


def _read_variant(
    written: Node, registry: Registry, mistakes: Mistakes, path: Path
) -> Recipe | None:
    """Build a recipe, or one of its controls, from nodes; return None if mistakes were reported."""
    root = mistakes.root = with_defaults(written)
    recipe = RecipeReader(root, registry, mistakes, path).read()
    if recipe is None:
        return None
    if not recipe.general.name:
        # Run folders are named by the recipe, so other characters of the file's name become `-`.
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "recipe"
        recipe = replace(recipe, general=recipe.general.model_copy(update={NAME: name}))
    resolved = without_secret_values(resolved_data(recipe, registry, root), root)
    return replace(recipe, resolved=resolved, origins=origins(resolved, root))


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


def with_defaults(root: Node) -> Node:
    """Return the recipe with default components where it names none."""
    backbone = root.child(BACKBONE)
    if backbone is not None and isinstance(backbone.value, dict) and backbone.child(USE) is None:
        use = Node(DEFAULT_BACKBONE, _DEFAULT)
        root = root.replaced(BACKBONE, backbone.replaced(USE, use))
    if root.child("reporters") is None:
        root = root.replaced("reporters", Node([*map(_named, _REPORTERS)], _DEFAULT))
    learners = root.child(LEARNERS)
    if learners is None:
        return _with_parts(root)
    if isinstance(learners.value, list):
        items = [_with_parts(item) for item in learners.value]
        root = root.replaced(LEARNERS, Node(items, learners.origin))
    return root


def _with_parts(node: Node) -> Node:
    if isinstance(node.value, dict):
        for key, component in _LEARNER_DEFAULTS.items():
            if node.child(key) is None:
                node = node.replaced(key, _named(component))
    return node


def _named(component: str) -> Node:
    return Node({USE: Node(component, _DEFAULT)}, _DEFAULT)


def resolved_data(recipe: Recipe, registry: Registry, root: Node) -> dict[str, Any]:
    """Return `recipe` without controls as plain data; loading these data gives the same recipe.

    `root` is the recipe as written. The result has the key `learners` or `describers` only if
    `root` has it.
    """

    def component(choice: Choice) -> dict[str, Any]:
        label = {NAME: choice.label} if choice.label != choice.spec.name else {}
        by = {BY: choice.by} if choice.by else {}
        use = written_name(registry, choice)
        return {USE: use, **label, **by, **_plain(choice.options)}

    def components(choices: Iterable[Choice]) -> list[dict[str, Any]]:
        return [component(choice) for choice in choices]

    def parts(learner: LearnerChoice) -> dict[str, Any]:
        loss = {"loss": component(learner.loss)} if learner.loss else {}
        trainable = component(learner.trainable)
        return {
            "trainable": trainable[USE] if [*trainable] == [USE] else trainable,
            "prototypes": component(learner.prototypes),
            **loss,
        }

    data = {
        **_plain(recipe.general),
        BACKBONE: component(recipe.backbone),
        "dataset": component(recipe.dataset),
        "descriptions": components(recipe.descriptions),
        "labels": components(recipe.labels),
        "train": _plain(recipe.train),
        "evaluate": _plain(recipe.evaluate),
        "reporters": components(recipe.reporters),
    }
    if recipe.backbone.full_name == DEFAULT_BACKBONE:
        del data[BACKBONE][USE]
    if recipe.guard:
        data["guard"] = component(recipe.guard)
    if root.child("describers"):
        data["describers"] = components(recipe.describers)
    elif recipe.describers:
        data["describer"] = component(recipe.describers[0])
    if recipe.gates:
        data["gates"] = components(recipe.gates)
    if root.child(LEARNERS):
        data[LEARNERS] = [{**_plain(one.settings), **parts(one)} for one in recipe.learners]
    else:
        data |= parts(recipe.learners[0])
    if recipe.augmentation:
        data["augmentation"] = component(recipe.augmentation)
        del data["train"]["augment"]
    return {key: data[key] for key in KEYS if key in data}


def _plain(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json")


def without_secret_values(plain: Any, root: Node | None) -> Any:
    """Replace each secret value in `plain` by the text in the recipe file, such as `${VAR}`."""
    if root is None:
        return plain
    if isinstance(plain, str):
        return plain if root.written is None else Written(root.written)
    if isinstance(plain, Mapping):
        return {key: without_secret_values(below, root.child(key)) for key, below in plain.items()}
    if isinstance(plain, list | tuple):
        return [without_secret_values(below, root.child(key)) for key, below in enumerate(plain)]
    return plain


def origins(resolved: Mapping[str, Any], root: Node) -> dict[str, str]:
    """Return each value's origin, such as `recipe.yaml:3` or `default`, by dotted key path."""
    found = {}
    for path in leaves(resolved):
        node = find(root, path)
        found[dotted(path)] = str(node.origin) if node else DEFAULT
    return found
