"""`latte check`: a recipe with every default, and where each value comes from; or its mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import RecipeArgument, SetOption
from latte.interfaces import LatteError

if TYPE_CHECKING:
    from latte.recipe.model import Recipe
    from latte.registry.registry import Registry


def check(
    recipe: RecipeArgument,
    set_: SetOption = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print YAML without comments, to be run again.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the recipe and the origins as JSON.")
    ] = False,
) -> None:
    """Check a recipe without loading a model, and show it complete with where values come from.

    Warns where its images are here and too few for its class names.
    """
    from latte.cli.annotated import annotated
    from latte.cli.output import print_json
    from latte.recipe.dump import dump_yaml
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry

    registry = load_registry()
    checked = load_recipe(recipe, registry, set_ or ())
    if json:
        print_json({"recipe": checked.resolved, "origins": checked.origins})
    elif plain:
        echo(dump_yaml(checked.resolved), nl=False)
    else:
        echo(annotated(checked), nl=False)
    _warn_of_few(checked, registry)


def _warn_of_few(recipe: Recipe, registry: Registry) -> None:
    """Say so where images are too few for the class names, if latte itself can list them.

    A plugin's dataset may have to load much for it. One that is not here is no mistake of a recipe.
    """
    from latte.data.enough import warn_of_few
    from latte.registry.plugin import BUILTIN_DISTRIBUTION
    from latte.run.listing import unloaded_dataset

    if recipe.dataset.distribution != BUILTIN_DISTRIBUTION:
        return
    try:
        dataset = unloaded_dataset(recipe, registry)
        found = warn_of_few(len(dataset.training_images()), len(dataset.class_names))
    except LatteError:
        return
    if found:
        echo(f"warning: {found}", err=True)
