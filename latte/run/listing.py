"""A recipe's dataset without a run: to count images, with no model and no torch."""

from __future__ import annotations

from typing import Any, NoReturn, cast

from latte.interfaces import Context, Dataset, LatteError
from latte.recipe.model import Recipe
from latte.registry.plugin import Registered
from latte.registry.registry import Registry
from latte.run.workspace import cache_folder


def unloaded_dataset(recipe: Recipe, registry: Registry) -> Dataset[Any]:
    """Build the dataset that `recipe` names. Raises `LatteError` where its files are not there."""
    choice = recipe.dataset
    context = Context(
        base_dir=recipe.base_dir.absolute(),
        cache_dir=cache_folder(),
        device="cpu",
        seed=recipe.general.seed,
        frozen_clip=_no_clip,
    )
    registered = Registered(choice.spec, choice.distribution, choice.version)
    return cast("Dataset[Any]", registry.build(registered, choice.options, context))


def _no_clip() -> NoReturn:
    raise LatteError("nothing is encoded here")
