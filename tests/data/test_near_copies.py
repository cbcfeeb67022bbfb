"""Near-copies: crops, brighter, poorer and smaller copies are found; other pictures are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy
import pytest
import torch
from PIL import Image, ImageOps
from torch.nn.functional import normalize

from latte.data.near_copies import (
    Thumbnails,
    agreements,
    are_near_copies,
    layout_distances,
    near_copy_pairs,
    thumbnail,
)


def detailed(seed: int, side: int = 120) -> Image.Image:
    """Return a picture with large and small shapes."""
    random = numpy.random.default_rng(seed)
    parts = [
        Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=numpy.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for cells in (4, 12)
    ]
    return Image.blend(parts[0], parts[1], 0.5)


def poor(image: Image.Image) -> Image.Image:
    data = BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data).convert("RGB")


def thumbnails(images: Sequence[Image.Image]) -> Thumbnails:
    return Thumbnails.of((thumbnail(image) for image in images), len(images))


def are_copies(first: Image.Image, second: Image.Image) -> bool:
    pair = torch.tensor([[0, 0]])
    return bool(are_near_copies(thumbnails([first]), thumbnails([second]), pair))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.crop((6, 2, 119, 115)),
        lambda image: image.point(lambda value: min(255, value * 1.1)),
        lambda image: image.point(lambda value: value * 0.9),
        poor,
        lambda image: image.resize((60, 60)),
        lambda image: poor(image.crop((0, 4, 116, 120)).resize((58, 58))),
    ],
    ids=["crop", "brighter", "darker", "quality 50", "half size", "all"],
)
def test_changed_copies_are_near_copies(change: Callable[[Image.Image], Image.Image]) -> None:
    for seed in range(10):
        image = detailed(seed)
        assert are_copies(image, change(image))
        assert are_copies(change(image), image)


def test_other_pictures_and_mirrored_ones_are_no_near_copies() -> None:
    for seed in range(10):
        image = detailed(seed)
        assert not are_copies(image, detailed(seed + 100))
        assert not are_copies(image, ImageOps.mirror(image))
        red, green, blue = image.split()
        assert not are_copies(image, Image.merge("RGB", (blue, red, green)))


def test_pictures_without_details_are_no_near_copies() -> None:
    for colour in ("black", "white", "red"):
        plain = Image.new("RGB", (40, 30), colour)
        assert not are_copies(plain, plain)


def plain(seed: int) -> Image.Image:
    """Return a picture whose details differ by about a grey level, such as water from above."""
    return Image.blend(Image.new("RGB", (64, 64), (40, 60, 90)), detailed(seed, 64), 0.1)


def test_poor_copies_of_plain_pictures_are_near_copies_and_other_plain_ones_are_not() -> None:
    for seed in range(10):
        image = plain(seed)
        assert are_copies(image, poor(image.crop((0, 2, 62, 64)).resize((31, 31))))
        assert not are_copies(image, plain(seed + 100))


def test_details_must_agree_the_better_the_more_layouts_differ() -> None:
    image, pair = thumbnails([detailed(0)]), torch.tensor([[0, 0]])
    for change, cost in ((0.0, 0.0), (0.02, 0.0), (0.1, 0.5)):
        other = Thumbnails(image.grey, image.layout + change * torch.tensor([1.0, -1.0]).repeat(24))
        distance = layout_distances(image.layout, other.layout)
        expected = 1 - cost * (float(distance) - 0.15)
        assert float(agreements(image, other, pair)) == pytest.approx(expected, abs=1e-5)


def test_pairs_are_found_among_neighbours_only() -> None:
    images = [detailed(0), detailed(1), detailed(0).resize((60, 60)), detailed(2)]
    features = normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.5, 0.5]]), dim=1)
    assert near_copy_pairs(features, thumbnails(images)).tolist() == [[0, 2]]
    for count in (0, 1):
        pairs = near_copy_pairs(features[:count], thumbnails(images[:count]))
        assert pairs.shape == (0, 2)


def test_number_of_threads_does_not_change_the_pairs() -> None:
    images = [detailed(seed // 2).resize((60 + seed % 2, 60)) for seed in range(40)]
    features = normalize(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    features[1::2] = features[::2]
    small = thumbnails(images)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(near_copy_pairs(features, small))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)
    assert found[0].tolist() == [[row, row + 1] for row in range(0, 40, 2)]
