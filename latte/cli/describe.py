"""`latte describe`: have the texts written, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import LimitOption, QuietOption, RecipeArgument, SetOption

if TYPE_CHECKING:
    from latte.describe.shards import Shard
    from latte.interfaces import Progress


def describe(
    recipe: RecipeArgument,
    set_: SetOption = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Answer only share I of N, for several workers at once, on one machine or on "
            "several that share the cache folder; under torchrun each process takes its own.",
        ),
    ] = None,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Ask also what describers refused before.")
    ] = False,
    limit: LimitOption = None,
    quiet: QuietOption = False,
) -> None:
    """Describe a recipe's images; texts are kept, and `latte run` uses them."""
    from latte.cli.progress import make_progress
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry

    progress = make_progress(quiet)
    share = _share(shard, progress)
    registry = load_registry()
    loaded = load_recipe(recipe, registry, set_ or ())
    if share is not None:
        from latte.run.describing import describe_shard

        done = describe_shard(loaded, registry, progress, share, limit=limit, ask_again=ask_again)
        echo(str(done))
        return

    from latte.run.runner import run_recipe
    from latte.run.workspace import run_folder

    run_recipe(loaded, registry, progress, until="describe", limit=limit, ask_again=ask_again)
    echo(str(run_folder(loaded, limit).descriptions))


def _share(chosen: str | None, progress: Progress) -> Shard | None:
    """The share that was asked for, else the one that `torchrun` gives to this process."""
    import os

    from latte.describe.shards import Shard

    if chosen is not None:
        return Shard.parse(chosen)
    share = Shard.of_torchrun(os.environ)
    if share is not None:
        progress.say(f"started by torchrun: this process takes shard {share}")
    return share
