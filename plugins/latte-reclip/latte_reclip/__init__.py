"""Labeler and loss of ReCLIP (Hu et al., WACV 2024)."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the labeler `label-propagation` and the loss `masked-cross-entropy`."""
    return (
        ComponentSpec(
            kind="labeler",
            name="label-propagation",
            target="latte_reclip.reclip:LabelPropagationLabeler",
            summary="spreads class texts over a neighbour graph; keeps what all learners agree on",
            api_version=2,
        ),
        ComponentSpec(
            kind="loss",
            name="masked-cross-entropy",
            target="latte_reclip.reclip:MaskedCrossEntropy",
            summary="cross-entropy over all classes, weighted per image",
            api_version=2,
        ),
    )
