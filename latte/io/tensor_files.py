"""Tensors in safetensors files that notice when a bit of them has changed.

The format finds what was cut off, but has no checksum. So a digest of all names, types, shapes and
bytes lies in the file's own header: file and digest are one, whole or absent together.
"""

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
    """The file is cut, or holds other bytes than were written; the message says which."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` of any shapes and devices with their digest; not atomic by itself."""
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(kept, path, metadata={_KEY: tensor_digest(kept)})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """What `save_tensors` wrote, on the CPU; a file without a digest is taken as it is.

    Copies, aligned as torch aligns: kernels add in another order where memory begins elsewhere, so
    what is read from the mapped file would give other last bits than what was written.

    Raises:
        DamagedTensorsError: if it is not what was written, or no file.
        OSError: if it cannot be read.
    """
    if not path.is_file():
        raise DamagedTensorsError("there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            written = (file.metadata() or {}).get(_KEY)
        tensors = load_file(path)
    except SafetensorError as error:
        raise DamagedTensorsError(str(error)) from error
    if written is not None and written != tensor_digest(tensors):
        raise DamagedTensorsError("its bytes are not those that were written")
    return {name: value.clone() for name, value in tensors.items()}


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """Of contiguous `tensors` on the CPU; their order does not matter."""
    return digest_stream(
        part
        for name, value in sorted(tensors.items())
        for part in (f"{name} {value.dtype} {tuple(value.shape)}".encode(), _bytes(value))
    )


def _bytes(value: Tensor) -> memoryview:
    return value.reshape(-1).view(torch.uint8).numpy().data
