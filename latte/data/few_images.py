"""Warning for too few images per class name, and a value of `--limit` for a short first run."""

from __future__ import annotations

LEAST_PER_NAME = 3
"""Smallest number of images per class name that gives no warning."""
_QUICK_LOOK = 200
_ROUND = 100


def warn_of_few(images: int, names: int, all_images: int | None = None) -> str | None:
    """Return a warning if there are too few images for `names` class names, else None.

    With the option `--limit`, `images` counts the images in use, and `all_images` all images.
    """
    if images >= LEAST_PER_NAME * names:
        return None
    if all_images is None or all_images <= images or all_images < LEAST_PER_NAME * names:
        total = images if all_images is None else all_images
        return (
            f"{counted(total, 'image')} for {names:,} class names ({total / names:.1f} per name): "
            "remove names that cannot occur, or add images; with so few, adapting helps less"
        )
    least_limit = _rounded_up(names)
    advice = (
        f"use --limit {least_limit} or more" if least_limit < all_images else "leave --limit out"
    )
    return (
        f"{counted(images, 'image')} for {names:,} names is {images / names:.2g} per name; "
        f"results at this size say little about the whole folder; {advice}"
    )


def quick_look(images: int, names: int) -> int | None:
    """Return a value of `--limit` for a short first run.

    Return None if the folder has no more images than this value.
    """
    limit = max(_QUICK_LOOK, _rounded_up(names))
    return limit if limit < images else None


def _rounded_up(names: int) -> int:
    return -(-LEAST_PER_NAME * names // _ROUND) * _ROUND


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, as in `1 image` or `2 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
