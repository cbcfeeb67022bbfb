"""Prototypes `flyp`: an image's target is the feature of a random class template, as in FLYP."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the component: the prototypes `flyp`."""
    return (
        ComponentSpec(
            kind="prototypes",
            name="flyp",
            target="latte_flyp.flyp:FlypPrototypes",
            summary="FLYP: the target is a random template of the label, with gradient",
            api_version=2,
        ),
    )
