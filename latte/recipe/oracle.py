"""`oracle: true`: ground-truth labels of training images are used where a recipe says so."""

from __future__ import annotations

from collections.abc import Iterable

from latte.recipe.layout import ORACLE
from latte.recipe.mistakes import Mistakes
from latte.recipe.model import Choice
from latte.recipe.node import KeyPath, Node


def oracle_options(choice: Choice) -> list[str]:
    """The options of a component that are set and read ground-truth labels."""
    options = choice.options
    return [key for key in options.oracle_options if getattr(options, key) is not None]


def refuse_labels(choice: Choice, path: KeyPath, root: Node, mistakes: Mistakes) -> None:
    """Report each such option of the component at `path`."""
    for key in oracle_options(choice):
        mistakes.add_at(
            root,
            (*path, key),
            f'"{key}" uses ground-truth labels of training images, and {ORACLE}: true is missing',
            f'Add {ORACLE}: true beside "{path[0]}" if this is an ablation; its results are then '
            "marked as those of an oracle.",
        )


def refuse_unused(choices: Iterable[Choice], root: Node, mistakes: Mistakes) -> None:
    """Report `oracle: true` where nothing uses labels: results would be marked for nothing."""
    if not any(map(oracle_options, choices)):
        mistakes.add_at(
            root,
            (ORACLE,),
            f"{ORACLE} is true, and nothing here uses ground-truth labels of training images",
            f"Write {ORACLE}: false, or set correct: NUMBER of a group description.",
        )
