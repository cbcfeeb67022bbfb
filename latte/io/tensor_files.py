"""Tensors in safetensors files with a digest in the header, so that damage is detected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from latte.io.files import digest_stream

_KEY = "digest"


class DamagedTensorsError(ValueError):
    """Error for a tensor file that is missing, truncated or changed."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of any device and shape with their digest; the write is not atomic."""
    cpu_tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(cpu_tensors, path, metadata={_KEY: tensor_digest(cpu_tensors)})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, on the CPU.

    The tensors are copies with torch's own memory alignment. Memory-mapped tensors have another
    alignment. Kernels would sum them in another order, so results would not be bit-identical.

    Raises:
        DamagedTensorsError: if the file is missing or damaged.
        OSError: if the file cannot be read.
    """
    if not path.is_file():
        raise DamagedTensorsError("there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            stored_digest = (file.metadata() or {}).get(_KEY)
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedTensorsError(str(error)) from error
    if stored_digest != tensor_digest(tensors):
        raise DamagedTensorsError("its bytes are not those that were written")
    return {name: tensor.clone() for name, tensor in tensors.items()}


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of contiguous CPU tensors that does not depend on the order of names."""
    return digest_stream(
        part
        for name, tensor in sorted(tensors.items())
        for part in (f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), _bytes(tensor))
    )


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data
