"""Training views by Pillow: what every other way to make them must repeat to the bit."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from latte.data.draws import Change, Draw

vision: Any = functional  # annotated for tensors alone, though made for PIL images too

_ADJUST = {
    Change.BRIGHTNESS: vision.adjust_brightness,
    Change.CONTRAST: vision.adjust_contrast,
    Change.SATURATION: vision.adjust_saturation,
    Change.HUE: vision.adjust_hue,
}


def drawn_pixels(image: Image.Image, draw: Draw, size: int) -> Tensor:
    """What `draw` shows of `image` (RGB), by Pillow: (3, S, S) uint8."""
    left, top, width, height = draw.box
    box = (left, top, left + width, top + height)
    view = image.crop(box).resize((size, size), Image.Resampling.BICUBIC)
    for change, amount in draw.changes:
        if change is Change.GRAY:
            view = vision.rgb_to_grayscale(view, num_output_channels=3)
        else:
            view = _ADJUST[change](view, amount)
    pixels: Tensor = vision.pil_to_tensor(view)
    return pixels
