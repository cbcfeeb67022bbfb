"""Labeler `self-taught`, which labels all images together by a ridge regression."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the labeler `self-taught`."""
    return (
        ComponentSpec(
            kind="labeler",
            name="self-taught",
            target="latte_selftaught.labeler:SelfTaughtLabeler",
            summary="labels all images together: ridge regression from the class texts",
            api_version=2,
        ),
    )
