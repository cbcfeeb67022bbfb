"""Read and decode untrusted images to RGB, or raise `UnreadableImageError` with the reason."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from latte.data.formats import suffix_by_content
from latte.interfaces import ImageReference, LatteError
from latte.interfaces.errors import error_line
from latte.io.files import digest

Pixels = NDArray[numpy.uint8]
"""8-bit values of an image, (H, W, 3) unless stated otherwise."""

MAX_PIXELS = 100_000_000
"""Larger images are not decoded in full: a small file can hold gigabytes of pixels."""
MAX_JPEG_PIXELS = 250_000_000
"""JPEGs of at most this size, such as photos of 200 megapixels, are decoded at half their size."""

# Pillow's other formats start external programs or need them.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "MPO", "JPEG2000", "AVIF"),
    "HEIF",
)

_UPRIGHT = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_PILLOW_MODULES = r"PIL\."
_PILLOW_FILTER = ("ignore", None, Warning, re.compile(_PILLOW_MODULES), 0)

Image.init()
logging.getLogger("PIL").addHandler(logging.NullHandler())


class UnreadableImageError(LatteError):
    """Error for an image that cannot be read or decoded; `reason` is one line."""

    def __init__(self, reason: str, *, where: str | None = None) -> None:
        super().__init__(reason, where=where)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that cannot be read, with the reason in one line."""

    id: str
    reason: str


def decode_image(data: bytes, at_least: int | None = None) -> Image.Image:
    """Decode `data` to RGB, upright by its EXIF orientation; the content decides the format.

    The first frame of an animation is returned. As in open_clip's transforms, CMYK is converted
    with `convert("RGB")`, and colour profiles are ignored. So features equal those of other
    pipelines. Transparency is dropped: hidden pixels keep their stored colour. Here other pipelines
    differ: open_clip resizes first, which makes hidden pixels black, and newer versions of
    transformers put images on white.

    Grey values of 16 bits and more are scaled to 8 bits, whereas Pillow would clip them. 16-bit
    images are scaled from the full range of 16 bits. 32-bit images are scaled from the smallest of
    the ranges [0, 1] (floats only), [0, 255] and [0, 65535] that contains all values, or else from
    the range of the values.

    If `at_least` is given, a large JPEG is decoded at a half, a quarter or an eighth of its size,
    which is several times faster; no side gets shorter than `at_least` pixels. A JPEG of more than
    `MAX_PIXELS` pixels is decoded at a half of its size or less.

    Raises `UnreadableImageError` if `data` is not an image, or has more than `MAX_PIXELS` pixels
    (a JPEG: `MAX_JPEG_PIXELS`).
    """
    silence_pillow()
    if not data:
        raise UnreadableImageError("the file is empty")
    if suffix_by_content(data) == ".heic":
        register_heif()
    try:
        with _open(data) as image:
            width, height = image.size
            sides = [width, height] if at_least is None else [at_least, at_least]
            is_large = width * height > MAX_PIXELS
            if is_large:
                most_pixels = MAX_JPEG_PIXELS if isinstance(image, JpegImageFile) else MAX_PIXELS
                if width * height > most_pixels:
                    raise UnreadableImageError(
                        f"{width} x {height} pixels, more than the {most_pixels:,} that are "
                        "decoded: make it smaller"
                    )
                sides = [min(sides[0], width // 2), min(sides[1], height // 2)]
            if is_large or at_least is not None:
                image.draft(None, (sides[0], sides[1]))
            return upright_rgb(image)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        reason = f"not an image of a known format (starts with {data[:12]!r})"
        raise UnreadableImageError(reason) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"more than {MAX_PIXELS:,} pixels: make it smaller") from error
    except Exception as error:  # decoders raise anything for a damaged file
        raise UnreadableImageError(
            f"damaged or cut short: {error_line(error, with_type=False)}"
        ) from error


def _open(data: bytes) -> Image.Image:
    try:
        formats = [name for name in _FORMATS if name in Image.OPEN]
        return Image.open(BytesIO(data), formats=formats)
    except Image.DecompressionBombError:
        if suffix_by_content(data) != ".jpg":
            raise
        # Pillow's limit is a global setting, which this class does not check.
        return JpegImageFile(BytesIO(data))


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return a copy of an open image, converted as `decode_image` converts it."""
    image.load()
    method = None
    with suppress(Exception):  # damaged EXIF data; the pixels may be intact
        method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    image = image if method is None else image.transpose(method)
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    elif image.mode in ("La", "RGBa"):
        image = image.convert(f"{image.mode[:-1]}A")
    rgb = image.convert("RGB")
    rgb.info.clear()
    return rgb


def fitted(image: Image.Image, side: int) -> Image.Image:
    """Resize an image so that its longer side has `side` pixels, and its shorter side at least 1.

    `ImageOps.contain` would round the shorter side of a very long image to 0.
    """
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


class CheckedImage(ImageReference):
    """Reference to an image with a known content; reading it fails if the content has changed."""

    __slots__ = ("_image", "_key")
    _image: ImageReference
    _key: str

    def __init__(self, image: ImageReference, key: str) -> None:
        """Refer to the image whose encoded content has the digest `key`."""
        super().__init__(image.id, image.path, image.span, image.series)
        object.__setattr__(self, "_image", image)
        object.__setattr__(self, "_key", key)

    def read_bytes(self) -> bytes:
        """Return the encoded image. Raises `LatteError` if its content has changed."""
        data = self._image.read_bytes()
        if digest(data) != self._key:
            raise LatteError(
                "this image was changed while the command was running",
                where=self.id,
                hint="Run the same command again: it reads all images again.",
            )
        return data


def read_image(image: ImageReference) -> bytes:
    """Return the encoded bytes of `image`. Raises `UnreadableImageError` with the id of the image.

    Pipes, devices, and images of more than `LARGEST_IMAGE` bytes are not read.
    """
    try:
        return image.read_bytes()
    except OSError as error:
        reason = error.strerror or error_line(error, with_type=False)
    except ValueError as error:  # a name that no file can have
        reason = error_line(error, with_type=False)
    raise UnreadableImageError(f"the file cannot be read: {reason}", where=image.id)


def open_image(image: ImageReference, at_least: int | None = None) -> Image.Image:
    """Read and decode `image`; see `decode_image`.

    Raises `UnreadableImageError` with the id of the image.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from latte.api import ImageReference, open_image
        >>> Image.new("RGB", (8, 6)).save("1.png")
        >>> open_image(ImageReference("1.png", Path("1.png"))).size
        (8, 6)
    """
    data = read_image(image)
    try:
        return decode_image(data, at_least)
    except UnreadableImageError as error:
        raise UnreadableImageError(error.reason, where=image.id) from error


def silence_pillow() -> None:
    """Ignore Pillow's warnings, which are harmless here or followed by an error."""
    # The filter stays installed, because `warnings.catch_warnings` is not safe with threads.
    if _PILLOW_FILTER not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)


def register_heif() -> None:
    """Let Pillow open HEIC images. Raises `UnreadableImageError` if pillow-heif is missing."""
    if "HEIF" in Image.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnreadableImageError(
            "HEIC images need a package: pip install 'latte-clip[heif]' (or convert them to JPEG)"
        ) from error
    register_heif_opener()


def _eight_bits(image: Image.Image) -> Image.Image:
    values = numpy.nan_to_num(numpy.asarray(image).astype(numpy.float32), posinf=0.0, neginf=0.0)
    low, high = _value_range(image, float(values.min()), float(values.max()))
    scaled_values = (values - low) * (255.0 / (high - low))
    return Image.fromarray(scaled_values.clip(0, 255).round().astype(numpy.uint8))


def _value_range(image: Image.Image, low: float, high: float) -> tuple[float, float]:
    # Pillow opens a PGM of 16 bits as mode "I", already scaled to their full range.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return 0.0, 65535.0
    range_ends = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    for range_end in range_ends:
        if low >= 0 and high <= range_end:
            return 0.0, range_end
    return low, max(high, low + 1)
