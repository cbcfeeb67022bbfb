"""Suffixes of image files that latte reads or does not read, and image formats by content."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    {
        *{".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".ppm"},
        *{".tif", ".tiff", ".webp"},
    }
)

UNREAD_SUFFIXES = frozenset(
    {
        *{".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2"},
        *{".eps", ".exr", ".hdr", ".ico", ".jxl", ".psd", ".svg", ".tga", ".xcf"},
    }
)
"""Suffixes of image files in formats that are not read, such as camera raw formats."""

HEAD_BYTES = 16
"""Number of bytes at the start of a file that show its format."""

_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)
_BRANDS = {  # of the ISO base media file format
    ".avif": frozenset({b"avif", b"avis"}),
    ".heic": frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}),
}


def suffix_by_content(head: bytes) -> str | None:
    """Return the usual suffix of an image that starts with `head`, or None for other content."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:8] == b"ftyp":
        brand, compatible_brands = head[8:12], head[16 : int.from_bytes(head[:4], "big")]
        if (
            b"avif" in compatible_brands or b"avis" in compatible_brands
        ):  # HEIF's containers may hold AVIF
            return ".avif"
        return next((suffix for suffix, brands in _BRANDS.items() if brand in brands), None)
    return next((suffix for start, suffix in _SIGNATURES if head.startswith(start)), None)
