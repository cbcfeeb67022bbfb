"""latte-clear: labels for images whose best class is clearly ahead of the second."""

from __future__ import annotations

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> list[ComponentSpec]:
    """Declare the labeler; its module is imported when a run uses it."""
    return [
        ComponentSpec(
            kind="labeler",
            name="clear",
            target="latte_clear.labeler:ClearLabeler",
            summary="labels only images whose best class is clearly ahead",
            api_version=2,
        )
    ]
