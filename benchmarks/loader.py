"""Compare latte's loading of training images with plain loading, image by image, on one thread.

The plain loader opens and decodes the file, and makes one view with torchvision on Pillow images:
random crop, colour jitter, gray, tensor, normalisation. LatteCLIP's published loader makes two
views and tokenises four texts per image. Latte decodes each image once, into its cache on disk; the
time of all later epochs is compared. All sides take turns on the same images; medians are printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor
from torchvision import transforms

from benchmarks.measuring import Timed, memory_line, say, take_turns
from latte.data.cache import ImageCache
from latte.data.compiled_views import compiled_views
from latte.data.disk_cache import DiskStore
from latte.data.scan import scan_images
from latte.data.views import TrainingView
from latte.interfaces import ImageReference, PixelFormat
from latte.interfaces.progress import SilentProgress
from latte.interfaces.settings import AugmentSettings
from latte.io.memory import keep_freed_memory

WIDTH, HEIGHT, SIZE = 500, 375, 224
FORMAT = PixelFormat(SIZE, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
CAPTION = "a photo of a surface that is covered with fine lines, {}, seen from above in daylight"
_CACHE_BYTES = 8 * 1024**3

Load = Callable[[int, Tensor], None]


def main(arguments: Sequence[str]) -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks loader", description=__doc__)
    parser.add_argument("--images", type=int, default=200, help="JPEGs of 500 x 375 (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each side (%(default)s)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(1)
    with TemporaryDirectory(prefix="latte-benchmark-") as name:
        images = write_images(Path(name) / "images", options.images)
        cache, filling = filled_cache(images, Path(name) / "pixels")
        mapping_seconds = first_pass(cache)
        loads = {
            "plain": plain_side(images),
            "published": published_side(images),
            "latte": latte_side(cache),
        }
        if compiled_views() is None:
            say("latte-views is not installed or not used")
        else:
            loads["latte, compiled"] = compiled_side(cache)
        share = max(1, options.images // options.rounds)
        sides = [Timed(name, _loading(load, share, options.images)) for name, load in loads.items()]
        take_turns(sides, options.rounds)
        cache_bytes = sum(path.stat().st_size for path in (Path(name) / "pixels").iterdir())
    say("medians          ms/image  images/s  of the processor  latte is faster by")
    say(*(_line(side, sides[2], share) for side in sides))
    filling, mapping = (1000 * part / options.images for part in (filling, mapping_seconds))
    say(
        f"cache: {cache_bytes / 2**20:.0f} MiB for {options.images} images; {filling:.2f} ms an "
        f"image to fill it, {mapping:.2f} ms to map and check it in a later run",
        f"{memory_line()}, mapped pages of the cache included",
    )


def _loading(load: Load, share: int, images: int) -> Callable[[], None]:
    """Return a function that loads the next `share` images into a batch."""
    turns = count(-1)

    def turn() -> None:
        batch, first_image = torch.empty(share, 3, SIZE, SIZE), next(turns) * share
        for place, out in enumerate(batch):
            load((first_image + place) % images, out)

    return turn


def _line(side: Timed[None], latte: Timed[None], share: int) -> str:
    wall, processor = (1000 * median(times) / share for times in (side.wall, side.cpu))
    by_clock, by_processor = (
        median(a / b for a, b in zip(side_times, latte_times, strict=True))
        for side_times, latte_times in ((side.wall, latte.wall), (side.cpu, latte.cpu))
    )
    return (
        f"{side.name:15} {wall:9.3f} {1000 / wall:9.0f} {processor:17.3f} "
        f"{by_clock:9.2f} ({by_processor:.2f} in processor time)"
    )


def write_images(
    folder: Path, images: int, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[ImageReference]:
    """Write synthetic photos, smooth colours plus noise, of about 66 kB each at 500 x 375."""
    folder.mkdir()
    repeats = (-(-size[1] // HEIGHT), -(-size[0] // WIDTH), 1)
    random = numpy.random.default_rng(0)
    references = []
    for index in range(images):
        coarse = random.integers(0, 256, (24, 32, 3), dtype=numpy.uint8)
        smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        tile = random.integers(-12, 13, (HEIGHT, WIDTH, 3)).astype(numpy.int16)
        noisy = numpy.asarray(smooth) + numpy.tile(tile, repeats)
        path = folder / f"{index:05}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(numpy.uint8)).save(path, quality=90)
        references.append(ImageReference(path.name, path))
    return references


def filled_cache(images: Sequence[ImageReference], folder: Path) -> tuple[ImageCache, float]:
    """Return the cache as a second run finds it, and the seconds that filling it took."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        store = DiskStore(folder, _CACHE_BYTES, sys.exit)
        scan = scan_images(images, SilentProgress(), "decode", max_bytes=0, disk=store)
        seconds.append(time.perf_counter() - begun)
    return scan.cache, seconds[0]


def first_pass(cache: ImageCache) -> float:
    """Return the seconds to map all pixels into memory and to verify their checksums."""
    begun = time.perf_counter()
    for index in range(len(cache)):
        cache.pixels(index)
    return time.perf_counter() - begun


def check(cache: ImageCache, view: TrainingView) -> None:
    """Stop unless views of cached pixels are bit-identical to those that Pillow makes."""
    for index in range(min(20, len(cache))):
        out = torch.empty(3, SIZE, SIZE)
        view.write(cache.pixels(index), index, 0, out)
        with Image.open(cache.images[index].path) as image:
            if not torch.equal(out, view(image.convert("RGB"), index, 0)):
                raise SystemExit(f"image {index}: the view is not the one that Pillow makes")


def plain_side(images: Sequence[ImageReference]) -> Load:
    """Return the plain loader, which decodes the file and makes one view with torchvision."""
    transform = plain_transform()

    def load(index: int, out: Tensor) -> None:
        with Image.open(images[index].path) as image:
            out.copy_(transform(image.convert("RGB")))

    return load


def published_side(images: Sequence[ImageReference]) -> Load:
    """Return the published loader: decode the file, make two views, tokenise four texts."""
    transform, tokenizer = plain_transform(), SimpleTokenizer()

    def load(index: int, out: Tensor) -> None:
        with Image.open(images[index].path) as image:
            rgb = image.convert("RGB")
        transform(rgb)
        out.copy_(transform(rgb))
        for text in range(4):
            tokenizer(CAPTION.format(f"{index} {text}"))

    return load


def plain_transform() -> Callable[[Image.Image], Tensor]:
    """Return LatteCLIP's published training transform."""
    untyped: Any = transforms  # torchvision has only partial annotations
    brightness, contrast, saturation, hue = AugmentSettings().jitter
    transform: Callable[[Image.Image], Tensor] = untyped.Compose(
        [
            untyped.RandomResizedCrop(
                SIZE, (0.9, 1.0), interpolation=untyped.InterpolationMode.BICUBIC
            ),
            untyped.RandomApply(
                [untyped.ColorJitter(brightness, contrast, saturation, hue)], p=0.8
            ),
            untyped.RandomGrayscale(p=0.2),
            untyped.ToTensor(),
            untyped.Normalize(OPENAI_DATASET_MEAN, OPENAI_DATASET_STD),
        ]
    )
    return transform


def latte_side(cache: ImageCache) -> Load:
    """Return latte's loader without the package latte-views: a Pillow view of cached pixels."""
    view = TrainingView(FORMAT, AugmentSettings(), seed=0)

    def load(index: int, out: Tensor) -> None:
        out.copy_(view(Image.fromarray(cache.pixels(index)), index, 1))

    return load


def compiled_side(cache: ImageCache) -> Load:
    """Return latte's loader with latte-views, whose compiled code makes views of cached pixels."""
    view = TrainingView(FORMAT, AugmentSettings(), seed=0)
    check(cache, view)

    def load(index: int, out: Tensor) -> None:
        view.write(cache.pixels(index), index, 1, out)

    return load
