"""Description types `scene`, `objects` and `attributes`."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return two description types for an image and one for a group."""
    return (
        ComponentSpec(
            kind="description",
            name="scene",
            target="latte_scenes.types:SceneDescription",
            summary="where an image was taken, and what surrounds its object",
            api_version=2,
        ),
        ComponentSpec(
            kind="description",
            name="objects",
            target="latte_scenes.types:ObjectsDescription",
            summary="which things an image shows, the largest first",
            api_version=2,
        ),
        ComponentSpec(
            kind="description",
            name="attributes",
            target="latte_scenes.types:AttributesDescription",
            summary="colours, shapes and materials that a group's images share",
            api_version=2,
        ),
    )
