"""Fingerprints of models: digests of architecture, pixel format and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from latte.interfaces import PixelFormat
from latte.io.files import digest, digest_json


def model_fingerprint(
    architecture: Any, pixel_format: PixelFormat, state: Mapping[str, Tensor]
) -> str:
    """Return a digest of all that determines a model's features.

    `architecture` is JSON data. `state` are the weights and buffers by name, on any device.
    """
    pixels = asdict(pixel_format)
    if pixel_format.short_side is None:
        del pixels["short_side"]  # so that formats without it keep the digest of earlier versions
    digests = [digest_json([architecture, pixels])]
    for name, weight in state.items():
        data = weight.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        digests.append(digest(name, f"{weight.dtype}{tuple(weight.shape)}", data))
    return digest(*digests)
