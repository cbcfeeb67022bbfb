"""`latte check`: a recipe with every default, and where each value comes from; or its mistakes."""

from __future__ import annotations

from typing import Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import RecipeArgument, SetOption


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
    """Check a recipe without loading a model, and show it complete with where values come from."""
    from latte.cli.annotated import annotated
    from latte.cli.output import print_json
    from latte.recipe.dump import dump_yaml
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry

    checked = load_recipe(recipe, load_registry(), set_ or ())
    if json:
        print_json({"recipe": checked.resolved, "origins": checked.origins})
    elif plain:
        echo(dump_yaml(checked.resolved), nl=False)
    else:
        echo(annotated(checked), nl=False)
