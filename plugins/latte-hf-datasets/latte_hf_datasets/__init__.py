"""Dataset `hf`, which reads Hugging Face datasets with an image column."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the component: the dataset `hf`."""
    return (
        ComponentSpec(
            kind="dataset",
            name="hf",
            target="latte_hf_datasets.dataset:HuggingFaceDataset",
            summary="a Hugging Face dataset: saved to disk, parquet files, or a name on the hub",
            api_version=2,
        ),
    )
