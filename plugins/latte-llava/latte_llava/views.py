"""Views of an image for the model: a thumbnail or the full resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

from PIL import Image
from transformers.image_processing_utils import select_best_resolution

from latte_llava.library import transformers
from latte_llava.options import Resolution

THUMBNAIL_PIXELS = 336 * 336
"""Pixels of a thumbnail as in the LatteCLIP paper, for models that accept any image size."""
TILED = frozenset(("llava_next", "llava_onevision"))
"""Model types that see high-resolution tiles of an image besides the whole image."""
_SPLITTING = ("do_image_splitting", "crop_to_patches", "do_pan_and_scan")


@dataclass(frozen=True)
class View:
    """A processor, and the function `shown` that prepares an image for the processor."""

    processor: Any
    shown: Callable[[Image.Image], Image.Image]


def make_view(processor: Any, config: Any, resolution: Resolution) -> View:
    """Return the view (processor, image preparation) for `resolution`; may modify `processor`."""
    if resolution == "full":
        return View(processor, lambda image: image)
    if config.model_type in TILED:
        side = config.vision_config.image_size
        return View(_one_tile(processor, config), lambda image: squashed(image, side))
    pixels = processor.image_processor
    splits = [name for name in _SPLITTING if hasattr(pixels, name)]
    for name in splits:
        setattr(pixels, name, False)
    if square := _square_side(pixels):
        return View(processor, lambda image: squashed(image, square))
    return View(processor, (lambda image: image) if splits else limited)


def squashed(image: Image.Image, side: int) -> Image.Image:
    """Return `image` resized to `side` x `side` pixels, bicubically like LLaVA's thumbnail."""
    return image if image.size == (side, side) else image.resize((side, side))


def limited(image: Image.Image, pixels: int = THUMBNAIL_PIXELS) -> Image.Image:
    """Return `image` scaled down to at most `pixels` in total, with its aspect ratio."""
    width, height = image.size
    scale = sqrt(pixels / (width * height))
    if scale >= 1:
        return image
    return image.resize((max(1, int(width * scale)), max(1, int(height * scale))))


def image_cost(image: Image.Image, processor: Any) -> int:
    """Return the cost of `image`: the number of pixels that the processor passes to the model."""
    pixels = processor.image_processor
    width, height = image.size
    if pinpoints := getattr(pixels, "image_grid_pinpoints", None):
        rows, columns = select_best_resolution((height, width), pinpoints)
        return int(rows * columns)
    if side := _square_side(pixels):
        return side * side
    return width * height


def _one_tile(processor: Any, config: Any) -> Any:
    tiled, side = processor.image_processor, config.vision_config.image_size
    strategy = config.vision_feature_select_strategy
    pixels = transformers.CLIPImageProcessor(
        size={"height": side, "width": side},
        do_center_crop=False,
        resample=tiled.resample,
        image_mean=tiled.image_mean,
        image_std=tiled.image_std,
    )
    return transformers.LlavaProcessor(
        pixels,
        processor.tokenizer,
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=getattr(
            processor, "num_additional_image_tokens", int(strategy == "default")
        ),
        chat_template=processor.chat_template,
        image_token=processor.image_token,
    )


def _square_side(pixels: Any) -> int | None:
    """Return the side of the images that the processor returns; None if they are not square."""
    crops = getattr(pixels, "do_center_crop", False) and getattr(pixels, "crop_size", None)
    size = dict(crops or getattr(pixels, "size", None) or {})
    height, width = size.get("height"), size.get("width")
    return int(height) if height and height == width else None
