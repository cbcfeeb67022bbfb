"""Dataset `webdataset`, which reads images from WebDataset tars without unpacking them."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the component: the dataset `webdataset`."""
    return (
        ComponentSpec(
            kind="dataset",
            name="webdataset",
            target="latte_webdataset.dataset:WebDataset",
            summary="images in WebDataset tars, in CLIP_benchmark's layout or another",
            api_version=2,
        ),
    )
