"""Labeler `choices`, which asks a describer a few questions, and the loss `partial-labels`."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the labeler `choices` and the loss `partial-labels`."""
    return (
        ComponentSpec(
            kind="labeler",
            name="choices",
            target="latte_questions.labeler:ChoicesLabeler",
            summary="labels all images together, and asks a describer about few images",
            api_version=2,
        ),
        ComponentSpec(
            kind="loss",
            name="partial-labels",
            target="latte_questions.candidates:PartialLabelLoss",
            summary="cross-entropy with several candidate classes per image",
            api_version=2,
        ),
    )
