"""Several prototypes per class (`multi-momentum`), and a report page that shows them."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the prototypes `multi-momentum` and the reporter `prototype-gallery`."""
    return (
        ComponentSpec(
            kind="prototypes",
            name="multi-momentum",
            target="latte_multiproto.prototypes:MultiMomentumPrototypes",
            summary="several prototypes a class that follow mixed descriptions with momentum",
            api_version=2,
        ),
        ComponentSpec(
            kind="reporter",
            name="prototype-gallery",
            target="latte_multiproto.report:PrototypeGallery",
            summary="one page: each class's prototypes, their nearest images, the class's variance",
            api_version=2,
        ),
    )
