"""A recipe as plain data with every default filled in, and where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latte.interfaces import Options
from latte.recipe.components import written_name
from latte.recipe.layout import ONE_DESCRIBER
from latte.recipe.model import Choice, LearnerChoice, Recipe
from latte.recipe.node import DEFAULT, Node, dotted, find, leaves
from latte.recipe.variables import Written
from latte.registry.plugin import Registered
from latte.registry.registry import Registry
from latte.registry.spec import BY, NAME, USE


def resolved_data(
    recipe: Recipe, registry: Registry, *, lists_learners: bool, lists_describers: bool
) -> dict[str, Any]:
    """Everything in `recipe` but its controls, as a recipe that resolves to itself."""

    def component(choice: Choice) -> dict[str, Any]:
        return _component(choice, registry)

    return {
        **_plain(recipe.general),
        "backbone": _plain(recipe.backbone),
        "dataset": component(recipe.dataset),
        **({"guard": component(recipe.guard)} if recipe.guard else {}),
        **_describers(recipe, registry, lists_describers=lists_describers),
        "descriptions": [component(choice) for choice in recipe.descriptions],
        **({"gates": [component(choice) for choice in recipe.gates]} if recipe.gates else {}),
        "labels": [component(choice) for choice in recipe.labels],
        **_learners(recipe, registry, lists_learners=lists_learners),
        "train": _plain(recipe.train),
        "evaluate": _plain(recipe.evaluate),
        "reporters": [component(choice) for choice in recipe.reporters],
    }


def without_secret_values(plain: Any, root: Node) -> Any:
    """Plain data in which what was written with a secret variable stands as it was written."""
    if isinstance(plain, str):
        return plain if root.written is None else Written(root.written)
    if isinstance(plain, Mapping):
        return {key: _without_secret(below, root.child(key)) for key, below in plain.items()}
    if isinstance(plain, list | tuple):
        return [_without_secret(below, root.child(key)) for key, below in enumerate(plain)]
    return plain


def _without_secret(plain: Any, node: Node | None) -> Any:
    return plain if node is None else without_secret_values(plain, node)


def origins(resolved: Mapping[str, Any], root: Node) -> dict[str, str]:
    """Where each value of `resolved` was written, by dotted path; `default` for the others."""
    found = {}
    for path in leaves(resolved):
        node = find(root, path)
        found[dotted(path)] = str(node.origin) if node else DEFAULT
    return found


def _describers(recipe: Recipe, registry: Registry, *, lists_describers: bool) -> dict[str, Any]:
    described = [_component(choice, registry) for choice in recipe.describers]
    if lists_describers:
        return {"describers": described}
    return {ONE_DESCRIBER: described[0]} if described else {}


def _learners(recipe: Recipe, registry: Registry, *, lists_learners: bool) -> dict[str, Any]:
    if not lists_learners:
        (main,) = recipe.learners
        return {"trainable": main.settings.trainable, **_learner_components(main, registry)}
    return {
        "learners": [
            {**_plain(learner.settings), **_learner_components(learner, registry)}
            for learner in recipe.learners
        ]
    }


def _learner_components(learner: LearnerChoice, registry: Registry) -> dict[str, Any]:
    loss = {"loss": _component(learner.loss, registry)} if learner.loss else {}
    return {"prototypes": _component(learner.prototypes, registry), **loss}


def _component(choice: Choice, registry: Registry) -> dict[str, Any]:
    registered = Registered(choice.spec, choice.distribution, choice.version)
    name = {NAME: choice.label} if choice.label != choice.spec.name else {}
    by = {BY: choice.by} if choice.by else {}
    return {USE: written_name(registry, registered), **name, **by, **_plain(choice.options)}


def _plain(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json")
