"""Whether the images of a recipe are on this machine."""

from __future__ import annotations

from latte.interfaces import LatteError, Progress
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.run.workspace import Workspace, run_folder


def why_absent(recipe: Recipe, registry: Registry, progress: Progress) -> str | None:
    """What keeps the recipe's images from being listed, in one line; None if nothing does."""
    workspace = Workspace(recipe, registry, progress, run_folder(recipe, None))
    try:
        workspace.dataset.training_images()
    except LatteError as error:
        return error.what
    return None
