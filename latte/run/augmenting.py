"""Component or settings that make the training views of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from latte.interfaces import ImageAugmentation
from latte.interfaces.settings import AugmentSettings
from latte.recipe.component import ChosenComponent
from latte.recipe.model import Recipe


def augmentation(
    recipe: Recipe, build: Callable[[ChosenComponent], Any]
) -> AugmentSettings | ImageAugmentation[Any] | None:
    """Return settings of the built-in views, or the component that `build` makes; None for none."""
    choice = recipe.augmentation
    if choice is None:
        return None
    if isinstance(choice.options, AugmentSettings):
        return choice.options
    return cast("ImageAugmentation[Any]", build(choice))
