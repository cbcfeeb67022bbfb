"""Find the torch device that the user named."""

from __future__ import annotations

from latte.interfaces import LatteError


def find_device(device: str) -> str:
    """Return the torch device `device`; for `auto`, `cuda` if there is a GPU, else `cpu`.

    Raises `LatteError` if this machine does not have the device.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise LatteError(
            f"there is no device `{device}` here",
            where="device",
            hint="give the device `auto`, or see what there is: latte doctor",
        ) from error
    return device
