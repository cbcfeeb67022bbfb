"""Checks of tensors that components return: type, shape, number format and device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LARGEST_ITEM = 4
"""Bytes of a float32."""


def check_tensor(
    name: str,
    value: object,
    shape: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    *,
    wide: bool = False,
) -> None:
    """Check a tensor without reading its numbers; `None` leaves a property unchecked.

    Without `dtype`, the tensor must have floats of at most 32 bits, as in the arithmetic of a run;
    with `wide`, any floats. Raises `ValueError` that begins with `name`, a plural such as `labels`.
    """
    if not is_tensor(value):
        raise ValueError(f"{name} are of type {type(value).__name__}, not Tensor")
    if shape is not None and tuple(value.shape) != tuple(shape):
        raise ValueError(f"{name} have the shape {tuple(value.shape)}, not {tuple(shape)}")
    is_narrow = value.is_floating_point() and value.dtype.itemsize <= _LARGEST_ITEM
    if dtype is None and not (is_narrow or (wide and value.is_floating_point())):
        raise ValueError(f"{name} are {_shown(value.dtype)}, not float32")
    if dtype is not None and value.dtype != dtype:
        raise ValueError(f"{name} are {_shown(value.dtype)}, not {_shown(dtype)}")
    if device is not None and value.device.type != device.type:
        raise ValueError(f"{name} are on the device {value.device}, not {device}")


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Return True if `value` is a tensor."""
    from torch import Tensor

    return isinstance(value, Tensor)


def _shown(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
