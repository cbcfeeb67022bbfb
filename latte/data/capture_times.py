"""Bursts: photos of one folder that look alike and were taken within seconds, by EXIF times."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

import torch
from PIL import ExifTags, Image
from torch import Tensor

from latte.data.formats import suffix_by_content
from latte.data.images import read_image, register_heif, silence_pillow
from latte.data.prefetch import image_threads, ordered_map
from latte.interfaces import ImageReference

LONGEST_SECONDS = 30.0
"""Longest time from the first to the last photo of a burst."""
_HEAD_BYTES = 2**17
"""Number of bytes at the start of a JPEG file in which its EXIF data is; a segment has 64 KiB."""
_EARLIEST_YEAR = 1990
"""No camera wrote EXIF data earlier; a clock without battery starts in 1970 or 1980."""
_MOST_BETWEEN = 8
"""Number of photos before a photo with which it is compared: two cameras may write one folder."""
_EXIF = b"Exif\0\0"
_MOST_ALIKE, _QUANTILE = 0.8, 0.95
"""Photos are alike if their cosine is above that of so many random pairs, or above 0.8."""
_RANDOM_PAIRS = 2**14


@dataclass(frozen=True)
class CaptureTimes:
    """The times at which photos were taken."""

    seconds: tuple[float | None, ...]
    """The time of each image in seconds; None if it has no plausible date."""
    ignored: int
    """Number of images with a date that is not plausible."""


def capture_times(images: Sequence[ImageReference], now: datetime | None = None) -> CaptureTimes:
    """Read the times at which JPEG and HEIC photos were taken; damaged EXIF data gives no time.

    Dates before 1990, and after tomorrow, are ignored and counted.
    """
    latest = (now or datetime.now(UTC)).replace(tzinfo=None) + timedelta(days=1)
    silence_pillow()
    threads = image_threads()
    dates = [*ordered_map(_date, images, threads=threads, ahead=16 * threads)]
    plausible = [
        date if date and date.year >= _EARLIEST_YEAR and date <= latest else None for date in dates
    ]
    ignored = sum(date is not None for date in dates) - sum(date is not None for date in plausible)
    epoch = datetime(_EARLIEST_YEAR, 1, 1)
    return CaptureTimes(
        tuple(None if date is None else (date - epoch).total_seconds() for date in plausible),
        ignored,
    )


def burst_pairs(
    folders: Sequence[str], times: Sequence[float | None], features: Tensor, seconds: float
) -> Tensor:
    """Return pairs (P, 2) int64 of photos of a burst: each with an earlier one.

    A photo joins the burst of the last photo of its folder that looks like it and was taken at most
    `seconds` earlier, unless the burst would last longer than `LONGEST_SECONDS`.

    Args:
        folders: folder of each of N images.
        times: time of each image in seconds, or None.
        features: unit features (N, D).
        seconds: longest time between two photos.
    """
    photos = sorted(
        (folder, time, row)
        for row, (folder, time) in enumerate(zip(folders, times, strict=True))
        if time is not None
    )
    rows = torch.tensor([row for _, _, row in photos], dtype=torch.int64)
    earlier_alike: list[list[int]] = [[] for _ in photos]
    least = least_alike(features)
    for step in range(1, 1 + _MOST_BETWEEN):
        cosines = (features[rows[:-step]] * features[rows[step:]]).sum(dim=1).tolist()
        for place, cosine in enumerate(cosines):
            (folder, time, _), (next_folder, next_time, _) = photos[place], photos[place + step]
            if folder == next_folder and next_time - time <= seconds and cosine >= least:
                earlier_alike[place + step].append(place)
    begin = [time for _, time, _ in photos]
    pairs = []
    for place, earlier_places in enumerate(earlier_alike):
        for earlier in earlier_places:
            if photos[place][1] - begin[earlier] <= LONGEST_SECONDS:
                begin[place] = begin[earlier]
                pairs.append((photos[earlier][2], photos[place][2]))
                break
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)


def least_alike(features: Tensor) -> float:
    """Return the cosine above which two of N images, with unit features (N, D), are alike."""
    if len(features) < 2:
        return _MOST_ALIKE
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(features), (_RANDOM_PAIRS,), generator=generator)
    offsets = 1 + torch.randint(len(features) - 1, (_RANDOM_PAIRS,), generator=generator)
    cosines = (features[rows] * features[(rows + offsets) % len(features)]).sum(dim=1)
    return min(_MOST_ALIKE, float(cosines.quantile(_QUANTILE)))


def _date(image: ImageReference) -> datetime | None:
    """Return the date of a photo; None if it has none, or if its EXIF data is damaged."""
    with suppress(Exception):  # parsers of EXIF data raise anything for a damaged file
        exif = _exif(image)
        return None if exif is None else _original_date(exif)
    return None


def _original_date(exif: Image.Exif) -> datetime | None:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    text = details.get(ExifTags.Base.DateTimeOriginal)
    if not isinstance(text, str):
        return None
    date = datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
    digits = str(details.get(ExifTags.Base.SubsecTimeOriginal, "")).strip("\0 ")
    fraction = float(f"0.{digits}") if digits.isdecimal() else 0.0
    return date + timedelta(seconds=fraction)


def _exif(image: ImageReference) -> Image.Exif | None:
    start, length = image.span or (0, _HEAD_BYTES)
    head = ImageReference(image.id, image.path, (start, min(length, _HEAD_BYTES))).read_bytes()
    suffix = suffix_by_content(head)
    if suffix == ".heic":
        register_heif()
        with Image.open(BytesIO(read_image(image)), formats=["HEIF"]) as opened:
            return opened.getexif()
    place = head.find(_EXIF) if suffix == ".jpg" else -1
    if place < 0:
        return None
    exif = Image.Exif()
    exif.load(head[place : place + 2**16])
    return exif
