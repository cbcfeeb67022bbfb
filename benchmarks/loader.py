"""Compare latte's loading of training images with plain loading, image by image, on one thread.

The plain loader opens and decodes the file, and makes one view with torchvision on Pillow images:
random crop, colour jitter, gray, tensor, normalisation. LatteCLIP's published loader makes two
views and tokenises four texts per image. Latte decodes each image once, into its cache on disk; the
time of all later epochs is compared. All sides take turns on the same images; medians are printed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
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

from latte.data.cache import ImageCache
from latte.data.compiled_views import compiled_views
from latte.data.disk_cache import DiskStore
from latte.data.scan import scan_images
from latte.data.views import TrainingView
from latte.interfaces import ImageReference, PixelFormat
from latte.interfaces.progress import SilentProgress
from latte.interfaces.settings import AugmentSettings
from latte.run.process import keep_freed_memory

WIDTH, HEIGHT, SIZE = 500, 375, 224
FORMAT = PixelFormat(SIZE, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
CAPTION = "a photo of a surface that is covered with fine lines, {}, seen from above in daylight"
_CACHE_BYTES = 8 * 1024**3

Side = Callable[[int, Tensor], None]


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
        first = first_pass(cache)
        sides: dict[str, Side] = {
            "plain": plain_side(images),
            "published": published_side(images),
            "latte": latte_side(cache),
        }
        if compiled_views() is None:
            sys.stdout.write("latte-views is not installed or not used\n")
        else:
            sides["latte, compiled"] = compiled_side(cache)
        times = measure(sides, options.images, options.rounds)
        kept = sum(path.stat().st_size for path in (Path(name) / "pixels").iterdir())
    report(times, options.images, kept, (filling, first))


def write_images(
    folder: Path, count: int, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[ImageReference]:
    """Write synthetic photos, smooth colours plus noise, of about 66 kB each at 500 x 375."""
    folder.mkdir()
    repeats = (-(-size[1] // HEIGHT), -(-size[0] // WIDTH), 1)
    random = numpy.random.default_rng(0)
    references = []
    for index in range(count):
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


def plain_side(images: Sequence[ImageReference]) -> Side:
    """Return the plain loader, which decodes the file and makes one view with torchvision."""
    transform = plain_transform()

    def load(index: int, out: Tensor) -> None:
        with Image.open(images[index].path) as image:
            out.copy_(transform(image.convert("RGB")))

    return load


def published_side(images: Sequence[ImageReference]) -> Side:
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
    made: Any = transforms  # torchvision has only partial annotations
    brightness, contrast, saturation, hue = AugmentSettings().jitter
    transform: Callable[[Image.Image], Tensor] = made.Compose(
        [
            made.RandomResizedCrop(SIZE, (0.9, 1.0), interpolation=made.InterpolationMode.BICUBIC),
            made.RandomApply([made.ColorJitter(brightness, contrast, saturation, hue)], p=0.8),
            made.RandomGrayscale(p=0.2),
            made.ToTensor(),
            made.Normalize(OPENAI_DATASET_MEAN, OPENAI_DATASET_STD),
        ]
    )
    return transform


def latte_side(cache: ImageCache) -> Side:
    """Return latte's loader without the package latte-views: a Pillow view of cached pixels."""
    view = TrainingView(FORMAT, AugmentSettings(), seed=0)

    def load(index: int, out: Tensor) -> None:
        out.copy_(view(Image.fromarray(cache.pixels(index)), index, 1))

    return load


def compiled_side(cache: ImageCache) -> Side:
    """Return latte's loader with latte-views, whose compiled code makes views of cached pixels."""
    view = TrainingView(FORMAT, AugmentSettings(), seed=0)
    check(cache, view)

    def load(index: int, out: Tensor) -> None:
        view.write(cache.pixels(index), index, 1, out)

    return load


def measure(
    sides: dict[str, Side], images: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return wall and CPU milliseconds per image, for each side and round.

    Each round loads a part of the images. The first round is a warm-up and left out.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    share = max(1, images // rounds)
    for turn in range(-1, rounds):
        indices = [(turn * share + i) % images for i in range(share)]
        for name, load in sides.items():
            batch = torch.empty(share, 3, SIZE, SIZE)
            wall, processor = time.perf_counter(), time.process_time()
            for index, out in zip(indices, batch, strict=True):
                load(index, out)
            spent = (time.perf_counter() - wall, time.process_time() - processor)
            if turn >= 0:
                times[name].append((1000 * spent[0] / share, 1000 * spent[1] / share))
    return times


def report(
    times: dict[str, list[tuple[float, float]]],
    images: int,
    kept: int,
    seconds: tuple[float, float],
) -> None:
    """Print the figures; `seconds` are those to fill the cache, and to map it in a later run."""
    lines = ["medians          ms/image  images/s  of the processor  latte is faster by"]
    for name, values in times.items():
        wall, processor = (median(column) for column in zip(*values, strict=True))
        pairs = list(zip(values, times["latte"], strict=True))
        by_clock, by_processor = (median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
        lines.append(
            f"{name:15} {wall:9.3f} {1000 / wall:9.0f} {processor:17.3f} "
            f"{by_clock:9.2f} ({by_processor:.2f} in processor time)"
        )
    filling, mapping = (1000 * part / images for part in seconds)
    lines.append(
        f"cache: {kept / 2**20:.0f} MiB for {images} images; {filling:.2f} ms an image to fill it, "
        f"{mapping:.2f} ms to map and check it in a later run"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines.append(f"peak memory of this process: {peak:.0f} MiB, mapped pages of the cache included")
    sys.stdout.write("\n".join(lines) + "\n")
