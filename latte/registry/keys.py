"""Keys beside a component's options in a recipe, which no option can be called."""

from __future__ import annotations

from latte.registry.spec import Kind

USE = "use"
NAME = "name"
BY = "by"
"""The key by which a description names the describer that it asks."""


def reserved_keys(kind: Kind) -> tuple[str, ...]:
    """Keys of a component of this kind that belong to the recipe, not to its options."""
    return (USE, NAME, BY) if kind == "description" else (USE, NAME)
