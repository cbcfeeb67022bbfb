"""Checks of features that encoders return."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from latte.interfaces import Encoder, LatteError
from latte.interfaces.provider import blaming
from latte.interfaces.returned import check_tensor

_UNIT = 1e-2
"""Largest accepted difference between the length of a unit feature and 1."""


def check_rows(encoder: Encoder, rows: object, count: int, width: int) -> None:
    """Check features (count, width) without reading them.

    Raises `LatteError` that names the package of the encoder.
    """
    with blaming(encoder, "its features"):
        check_tensor("features", rows, (count, width), device=encoder.device)


def check_unit(encoder: Encoder, features: Tensor) -> None:
    """Check that the rows of features (N, D) have length 1. Raises `LatteError` as `check_rows`."""
    with blaming(encoder, "its features"):
        if not are_unit(features):
            raise ValueError("they are not normalised")


def are_unit(features: Tensor) -> bool:
    """Return True if all rows have length 1; False for NaN, too."""
    return bool(((features.norm(dim=1) - 1).abs() < _UNIT).all())


def check_features(
    features: Tensor, tower: Literal["image", "text"], where: str | None = None
) -> None:
    """Check features (N, D). Raises `LatteError` if a feature is zero or not finite."""
    if not features.isfinite().all() or not features.any(dim=1).all():
        raise LatteError(
            f"the {tower} tower gives features that are zero or not finite numbers",
            where=where,
            hint="the model's weights are damaged, or its training diverged: get the model again, "
            "or train with a lower learning rate",
        )
