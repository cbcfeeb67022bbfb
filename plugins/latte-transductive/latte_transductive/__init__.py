"""Labeler `transductive`, which labels all images jointly, and the guard `evidence`."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the labeler `transductive` and the guard `evidence`."""
    return (
        ComponentSpec(
            kind="labeler",
            name="transductive",
            target="latte_transductive.labeler:TransductiveLabeler",
            summary="labels all images together: Gaussians that are anchored at the class texts",
            api_version=2,
        ),
        ComponentSpec(
            kind="guard",
            name="evidence",
            target="latte_transductive.guard:EvidenceGuard",
            summary="keeps zero-shot CLIP if the class names do not fit the images",
            api_version=2,
        ),
    )
