"""Copy tensors to a device without waiting for the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy `tensor` to `device`, through pinned memory to a CUDA GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def all_to_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copy all `tensors` of the CPU to `device` in one transfer."""
    # Larger numbers first, so that each tensor is aligned to the size of its numbers.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    parts = [value.contiguous().reshape(-1).view(torch.uint8) for _, value in ordered]
    copied = torch.split(to_device(torch.cat(parts), device), [len(part) for part in parts])
    return {
        name: part.view(value.dtype).view(value.shape)
        for (name, value), part in zip(ordered, copied, strict=True)
    }
