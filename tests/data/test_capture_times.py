"""Bursts by EXIF times: chains, limits, implausible dates and damaged EXIF data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch
from PIL import ExifTags, Image

from latte.data.capture_times import burst_pairs, capture_times
from latte.data.series import joined
from latte.interfaces import ImageReference

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ALIKE = torch.tensor([[1.0, 0.0]])


def photo(path: Path, date: str | None, fraction: str | None = None) -> ImageReference:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    if date is not None:
        details[ExifTags.Base.DateTimeOriginal] = date
    if fraction is not None:
        details[ExifTags.Base.SubsecTimeOriginal] = fraction
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path, exif=exif)
    return ImageReference(path.name, path)


def series_of(times: list[float | None], folders: list[str] | None = None) -> list[int]:
    features = ALIKE.expand(len(times), 2)
    pairs = burst_pairs(folders or ["a"] * len(times), times, features, 2.0)
    return joined(len(times), {"burst": pairs}).numbers.tolist()


def test_times_are_read_with_fractions(tmp_path: Path) -> None:
    images = [
        photo(tmp_path / "1.jpg", "2025:01:01 10:00:00", "25"),
        photo(tmp_path / "2.jpg", "2025:01:01 10:00:01"),
        photo(tmp_path / "3.jpg", None),
    ]
    times = capture_times(images, NOW)
    seconds, seconds_later, no_time = times.seconds
    assert seconds is not None
    assert seconds_later is not None
    assert seconds_later - seconds == 0.75
    assert no_time is None
    assert times.ignored == 0


def test_dates_of_1970_and_of_the_future_are_ignored_and_counted(tmp_path: Path) -> None:
    dates = ["1970:01:01 00:00:00", "2031:01:01 00:00:00", "2026:06:01 12:00:00"]
    images = [photo(tmp_path / f"{row}.jpg", date) for row, date in enumerate(dates)]
    times = capture_times(images, NOW)
    assert [time is None for time in times.seconds] == [True, True, False]
    assert times.ignored == 2


def test_damaged_exif_data_gives_no_time(tmp_path: Path) -> None:
    exif_photo = photo(tmp_path / "whole.jpg", "2025:01:01 10:00:00").path.read_bytes()
    start = exif_photo.index(b"Exif")
    contents = [
        *(exif_photo[:end] for end in range(0, start + 120, 3)),
        *(
            exif_photo[:place] + b"\xff" * 4 + exif_photo[place + 4 :]
            for place in range(start + 4, start + 100)
        ),
        exif_photo.replace(b"2025:01:01 10:00:00", b"0000:00:00 00:00:00"),
        exif_photo.replace(b"2025:01:01 10:00:00", b"2025:13:41 99:99:99"),
        b"GIF89a",
    ]
    images = []
    for number, content in enumerate(contents):
        path = tmp_path / "damaged" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        images.append(ImageReference(path.name, path))
    images.append(ImageReference("gone.jpg", tmp_path / "gone.jpg"))
    times = capture_times(images, NOW)
    assert len(times.seconds) == len(images)
    assert times.seconds[-4:] == (None,) * 4


def test_part_of_an_archive_is_read_at_its_place(tmp_path: Path) -> None:
    content = photo(tmp_path / "1.jpg", "2025:01:01 10:00:00").path.read_bytes()
    (tmp_path / "shard.tar").write_bytes(b"x" * 700 + content)
    inside = ImageReference("1.jpg", tmp_path / "shard.tar", (700, len(content)))
    assert capture_times([inside], NOW).seconds[0] is not None


def test_photos_within_two_seconds_are_one_burst() -> None:
    assert series_of([0, 2, 4.5, 5, None, 100]) == [0, 0, 1, 1, 2, 3]
    assert series_of([5, 0, 4.5, 2]) == [0, 1, 0, 1]


def test_chain_ends_after_30_seconds() -> None:
    chain = series_of([2.0 * row for row in range(40)])
    assert chain == [0] * 16 + [1] * 16 + [2] * 8


def test_folders_are_apart() -> None:
    assert series_of([0, 1, 2], ["a", "b", "a"]) == [0, 1, 0]


def test_photos_that_do_not_look_alike_are_apart() -> None:
    features = torch.eye(4)[[0, 1, 0, 1, 2, 3]]
    pairs = burst_pairs(["a"] * 6, [0, 0.5, 1, 1.5, 2, 2.5], features, 2.0)
    # Two cameras write the same folder in turns.
    assert joined(6, {"burst": pairs}).numbers.tolist() == [0, 1, 0, 1, 2, 3]


def test_one_date_for_100_000_photos_is_handled_quickly() -> None:
    count = 100_000
    pairs = burst_pairs(["a"] * count, [0.0] * count, ALIKE.expand(count, 2), 2.0)
    assert len(joined(count, {"burst": pairs})) == 1


def test_no_photos_have_no_bursts() -> None:
    for times in ([], [None], [1.0]):
        features = ALIKE.expand(len(times), 2)
        assert burst_pairs(["a"] * len(times), times, features, 2.0).shape == (0, 2)
