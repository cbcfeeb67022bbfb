"""Labeler `self-taught`, which labels all images together, and the guard `evidence`."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the labeler `self-taught` and the guard `evidence`."""
    return (
        ComponentSpec(
            kind="labeler",
            name="self-taught",
            target="latte_selftaught.labeler:SelfTaughtLabeler",
            summary="labels all images together: ridge regression from the class texts",
            api_version=2,
        ),
        ComponentSpec(
            kind="guard",
            name="evidence",
            target="latte_selftaught.guard:EvidenceGuard",
            summary="keeps zero-shot CLIP if the class names do not fit the images",
            api_version=2,
        ),
    )
