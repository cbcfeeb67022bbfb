"""Encoder that holds one torch module, and saves it as JSON and safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.interfaces import Encoder, LatteError, PixelFormat
from latte.interfaces.errors import error_line
from latte.io.files import write_atomically, write_json
from latte.io.tensor_files import load_tensors, save_tensors
from latte.toolkit.fingerprints import model_fingerprint

_CONFIG, _WEIGHTS = "encoder.json", "encoder.safetensors"
_LARGEST_CONFIG = 2**20
"""Largest accepted size of `encoder.json` in bytes."""
_LARGEST_SIDE = 4096
"""Largest accepted side of images in `encoder.json`; a larger one could fill the memory."""


class ModuleEncoder(Encoder):
    """Encoder that wraps one torch module from pixels (B, 3, S, S) to features (B, D).

    Attributes:
        architecture: JSON data that, with weights and pixel format, determine all features; `load`
            builds the module from them.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from latte.api import ModuleEncoder, PixelFormat
        >>> grey = (0.5, 0.5, 0.5)
        >>> colours = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> encoder = ModuleEncoder(colours, PixelFormat(8, grey, grey), {"name": "colours"})
        >>> encoder.encode_images(torch.ones(2, 3, 8, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self, module: nn.Module, pixel_format: PixelFormat, architecture: Mapping[str, Any]
    ) -> None:
        """Freeze `module`, and try it. Raises `LatteError` if it gives no features (B, D)."""
        self.module: nn.Module = module.float().eval().requires_grad_(False)
        self.pixel_format = pixel_format
        self.architecture = architecture
        side = pixel_format.size
        try:
            features = self._raw_features(torch.zeros(1, 3, side, side))
        except (RuntimeError, ValueError, TypeError, AssertionError, AttributeError) as error:
            raise LatteError(
                f"this encoder does not accept images of {side} x {side} pixels: "
                f"{error_line(error, with_type=False)}"
            ) from error
        self.embedding_width: int = features.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of the weights; inputs are moved to this device."""
        return next((weight.device for weight in self.state().values()), torch.device("cpu"))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the architecture, the pixel format and the weights."""
        return model_fingerprint(self.architecture, self.pixel_format, self.state())

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Return unit features (B, D) in fp32 of pixels (B, 3, S, S)."""
        return normalize(self._raw_features(pixels).float(), dim=1)

    def _raw_features(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.module(pixels.to(self.device, non_blocking=True))
        if not isinstance(features, Tensor) or features.ndim != 2:
            shape = tuple(features.shape) if isinstance(features, Tensor) else None
            kind = type(features).__name__ if shape is None else f"shape {shape}"
            raise LatteError(
                f"{type(self.module).__name__} returns {kind} for a batch of images, and not "
                "one row of features per image"
            )
        return features

    def image_tower(self) -> nn.Module:
        """Return the module."""
        return self.module

    def state(self) -> dict[str, Tensor]:
        """Return weights and buffers by name, without copying them."""
        return {name: weight.detach() for name, weight in self.module.state_dict().items()}

    def save(self, folder: Path) -> None:
        """Write `encoder.safetensors` and `encoder.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomically(folder / _WEIGHTS) as temporary:
            save_tensors(temporary, self.state())
        config = {"architecture": self.architecture, "pixel_format": asdict(self.pixel_format)}
        write_json(folder / _CONFIG, config)

    @classmethod
    def load(
        cls, folder: Path, build: Callable[[Mapping[str, Any]], nn.Module], device: str
    ) -> Self:
        """Return the encoder that `save` wrote to `folder`, frozen, on `device`.

        The folder may come from other people. `build` makes the module of an architecture, with any
        weights; it must check the architecture. Raises `LatteError` if the folder is damaged.
        """
        try:
            if not (folder / _CONFIG).is_file():
                raise ValueError(f"there is no file {_CONFIG}")
            if (folder / _CONFIG).stat().st_size > _LARGEST_CONFIG:
                raise ValueError(f"{_CONFIG} is too large")
            config = json.loads((folder / _CONFIG).read_bytes())
            pixel_format = TypeAdapter(PixelFormat).validate_python(config["pixel_format"])
            sides = (pixel_format.size, pixel_format.short_side or pixel_format.size)
            if not 0 < sides[0] <= sides[1] <= _LARGEST_SIDE:
                raise ValueError(f"its images have {sides[0]} pixels per side")
            module = build(config["architecture"])
            module.load_state_dict(load_tensors(folder / _WEIGHTS))
            return cls(module.to(device), pixel_format, config["architecture"])
        except (OSError, RuntimeError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise LatteError(
                f"this encoder is damaged ({error_line(error, with_type=False)})",
                where=str(folder),
                hint="remove it and write it again: latte run RECIPE",
            ) from error
