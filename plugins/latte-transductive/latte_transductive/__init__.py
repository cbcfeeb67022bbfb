"""latte-transductive: pseudo-labels from all images together (after TransCLIP, NeurIPS 2024)."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """One labeler."""
    return (
        ComponentSpec(
            kind="labeler",
            name="transductive",
            target="latte_transductive.labeler:TransductiveLabeler",
            options="latte_transductive.options:TransductiveOptions",
            summary="labels all images together: a Gaussian mixture with a text prior",
        ),
    )
