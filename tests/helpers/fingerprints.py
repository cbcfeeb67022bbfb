"""Fingerprints of the stages of a recipe, without images and without a backbone."""

from __future__ import annotations

from latte.recipe.model import Recipe
from latte.run.identity import RunInputs
from latte.run.plan import PLAN
from latte.run.stages import stage_fingerprints


def fingerprints_of(recipe: Recipe) -> dict[str, str]:
    """Return the fingerprint of each stage of `latte run` by name."""
    return stage_fingerprints(PLAN, RunInputs(recipe, "images", "backbone"))
