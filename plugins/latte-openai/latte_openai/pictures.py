"""Images as they are sent: scaled down, encoded, and without anything but their pixels."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

from latte_openai.options import OpenAIOptions


def data_url(image: Image.Image, options: OpenAIOptions) -> str:
    """`image` as a data URL; neither file name nor metadata leave the machine."""
    buffer = BytesIO()
    prepared = _scaled(image.convert("RGB"), options.max_side)
    # Pillow would write comments and colour profiles of the original file.
    prepared.info = {}
    if options.format == "jpeg":
        prepared.save(buffer, "JPEG", quality=options.quality)
    else:
        prepared.save(buffer, "PNG")
    return f"data:image/{options.format};base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def _scaled(image: Image.Image, max_side: int | None) -> Image.Image:
    longest = max(image.size)
    if max_side is None or longest <= max_side:
        return image
    width, height = (max(1, round(side * max_side / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
