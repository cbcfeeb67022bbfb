"""`latte describe`: have the texts written, and nothing else."""

from __future__ import annotations

import typer

from latte.cli.shared import LimitOption, QuietOption, RecipeArgument, SetOption


def describe(
    recipe: RecipeArgument,
    set_: SetOption = None,
    limit: LimitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Describe a recipe's images; texts are kept, and `latte run` uses them."""
    from latte.cli.progress import make_progress
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry
    from latte.run.runner import run_recipe
    from latte.run.workspace import run_folder

    registry = load_registry()
    loaded = load_recipe(recipe, registry, set_ or ())
    run_recipe(loaded, registry, make_progress(quiet), until="describe", limit=limit)
    typer.echo(str(run_folder(loaded, limit).descriptions))
