"""Time in which the models of a run encode images, measured before a prediction begins."""

from __future__ import annotations

from time import perf_counter

import torch

from latte.models.adapted import Adapted, Member

_IMAGES = 4
"""Number of images in the batch that is timed."""


def encoding_seconds(adapted: Adapted) -> dict[str, float]:
    """Measure the seconds in which each member encodes one image on its device, by name."""
    return {member.name: _seconds(member) for member in adapted.members}


def _seconds(member: Member) -> float:
    side, device = member.encoder.pixel_format.size, member.encoder.device
    pixels = torch.zeros(_IMAGES, 3, side, side, device=device)
    with torch.inference_mode(), member.encoding():
        member.encoder.encode_images(pixels).cpu()  # loads kernels and allocates memory
        began = perf_counter()
        member.encoder.encode_images(pixels).cpu()
    return (perf_counter() - began) / _IMAGES
