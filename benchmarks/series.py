"""Recall of near-copies by kind of copy, and rate of wrong pairs, by folder of images.

Of each folder of images, some are copied: cropped, brightened, saved at low quality, scaled to half
the size, cropped and brightened as in a burst, all of these, or mirrored. A copy counts as found if
it is joined with its original. Joined pairs of images of the folder itself are wrong unless the
folder has copies already: `--pictures` writes a picture of these pairs, to look at. The smallest
agreement is chosen on the folders `--choose`, and judged on the folders `--judge`.

With `--images`, print time and memory of the search among so many random features and thumbnails.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from benchmarks.folder_sets import load_clip, positive
from benchmarks.measuring import peak_memory, say
from benchmarks.scale_features import drawn_features, random_features
from latte.data.capture_times import burst_pairs, least_alike
from latte.data.images import Pixels, open_image
from latte.data.near_copies import (
    LEAST_AGREEMENT,
    SIDE,
    Thumbnails,
    agreements,
    candidate_pairs,
    near_copy_pairs,
    plausible_pairs,
    thumbnail,
)
from latte.data.series import joined
from latte.data.sources.listed import images_below
from latte.interfaces import Encoder, ImageReference
from latte.registry.registry import load_registry
from latte.report.progress import make_progress
from latte.run.frozen_features import encode_references

_WIDTH = 384
"""Width of the features of many images, and of those in files."""
_RECALL = 0.95
"""Share of the copies of each kind that are found on each folder of `--choose`."""


@dataclass(frozen=True)
class Compared:
    """Pairs of images, of which some are compared by their pixels."""

    pairs: Tensor
    """(P, 2): the compared pairs."""
    agreements: Tensor
    """(P,)"""
    total: int
    """Number of all pairs, most of which are not compared because their layouts differ."""

    def share(self, least: float) -> float:
        """Return the share of the pairs that are joined."""
        return self.count(least) / self.total

    def count(self, least: float) -> int:
        """Return the number of pairs that are joined if their agreement is at least `least`."""
        return int((self.agreements >= least).sum())


@dataclass(frozen=True)
class CopiedFolder:
    """A folder of images with made copies of some of them."""

    name: str
    images: Sequence[ImageReference]
    own: Compared
    """Pairs of neighbours among the images themselves."""
    copies: Mapping[str, Compared]
    """Pairs of original and copy, by kind."""
    alike: float
    """Share of originals and burst copies whose features are alike; see `least_alike`."""


def main(arguments: Sequence[str]) -> None:
    """Measure, and print one table per folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks series", description=__doc__)
    parser.add_argument("--choose", nargs="*", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--judge", nargs="*", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--model", default="plugin:tiny", help="the CLIP (%(default)s)")
    parser.add_argument("--most", type=positive, default=1500, help="images a folder (%(default)s)")
    parser.add_argument("--copied", type=positive, default=100, help="of them (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("series"), help="folder of the copies")
    parser.add_argument("--pictures", action="store_true", help="write pictures of joined pairs")
    parser.add_argument("--images", type=positive, help="time and memory of so many images")
    parser.add_argument("--features", nargs="+", type=Path, default=[], help="sets, for --images")
    options = parser.parse_args(arguments)
    if options.images:
        print_cost(options.images, options.features)
        return
    clip = load_clip(options.model, load_registry())
    least = LEAST_AGREEMENT
    chosen = [_copied(folder, clip, options) for folder in options.choose]
    if chosen:
        steps = [step / 100 for step in range(50, 91)]
        worst = {step: _worst(chosen, step) for step in steps}
        least = max((step for step in steps if worst[step] >= _RECALL), default=steps[0])
        say(f"chosen on {len(chosen)} folders: {least}; latte uses {LEAST_AGREEMENT}")
    judged = [_copied(folder, clip, options) for folder in options.judge]
    for folder in (*chosen, *judged):
        print_folder(folder, least)
        if options.pictures:
            write_picture(folder, least, options.out / f"{folder.name}.png")


def print_folder(folder: CopiedFolder, least: float) -> None:
    """Print the recall by kind of copy, and the joined pairs of the folder's own images."""
    count = len(folder.images)
    say(f"{folder.name}: {count:,} images")
    for kind, compared in folder.copies.items():
        say(f"  {kind:12} {100 * compared.share(least):6.1f} % of {compared.total} joined")
    pairs = folder.own.count(least)
    every = count * (count - 1) // 2
    say(
        f"  own images   {pairs} pairs joined: {100 * pairs / folder.own.total:.3f} % of "
        f"{folder.own.total:,} candidates, {100 * pairs / every:.5f} % of all"
    )
    series = joined(count, {"near-copies": folder.own.pairs[folder.own.agreements >= least]})
    say(f"  largest series of own images: {int(series.sizes.max())} images")
    say(f"  features of burst copies are alike: {100 * folder.alike:.1f} %")


def print_cost(images: int, files: Sequence[Path]) -> None:
    """Print time and memory of the search among many images with random, smooth thumbnails.

    Features have the statistics of the sets in `files`, or are random around a hundred points. A
    tenth of the images have almost the features of another one, and its picture.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = (
        drawn_features(files, _WIDTH, images, 100)
        if files
        else random_features(_WIDTH, images, 100)
    )
    features = drawn.images
    small = torch.rand(images, 3, 5, 5, generator=generator)
    copied = torch.arange(0, images - 1, 10)
    small[copied + 1] = small[copied]
    noise = 0.01 * torch.randn(len(copied), _WIDTH, generator=generator)
    features[copied + 1] = normalize(features[copied] + noise, dim=1)

    def pictures() -> Iterator[Pixels]:
        for block in torch.split(small, 1000):
            large = interpolate(block, SIDE, mode="bicubic").clamp(0, 1)
            yield from (255 * large).byte().permute(0, 2, 3, 1).numpy()

    thumbnails = Thumbnails.of(pictures(), images)
    before, began, cpu = peak_memory(), time.perf_counter(), time.process_time()
    pairs = near_copy_pairs(features, thumbnails)
    found, cpu_found = time.perf_counter(), time.process_time()
    times = [float(row // 3) for row in range(images)]
    bursts = burst_pairs(["photos"] * images, times, features, 2.0)
    series = joined(images, {"near-copies": pairs, "burst": bursts})
    say(
        f"{images:,} images: near-copies {found - began:.1f} s (CPU {cpu_found - cpu:.1f} s), "
        f"bursts and series {time.perf_counter() - found:.1f} s (CPU "
        f"{time.process_time() - cpu_found:.1f} s), {torch.get_num_threads()} threads; "
        f"{len(pairs):,} pairs of near-copies; thumbnails {_bytes(thumbnails) / 2**20:.0f} MiB, "
        f"peak memory {1024 * (peak_memory() - before):.0f} MiB above that before the search"
    )
    say(f"largest series: {int(series.sizes.max()):,} images")


def write_picture(folder: CopiedFolder, least: float, path: Path) -> None:
    """Write a picture of the joined pairs of a folder, the least similar first."""
    order = folder.own.agreements.argsort()
    rows = [row for row in order.tolist() if folder.own.agreements[row] >= least][:60]
    if not rows:
        return
    sheet = Image.new("RGB", (6 * 250, 124 * (1 + (len(rows) - 1) // 6)), "white")
    for place, row in enumerate(rows):
        for side, image in enumerate(folder.own.pairs[row].tolist()):
            picture = open_image(folder.images[image]).resize((120, 120))
            sheet.paste(picture, (place % 6 * 250 + 122 * side, place // 6 * 124))
    sheet.save(path)


def _copied(root: Path, clip: Encoder, options: argparse.Namespace) -> CopiedFolder:
    draws = random.Random(0)
    images = images_below(root, str(root))
    sample = sorted(draws.sample(range(len(images)), min(options.most, len(images))))
    images = tuple(images[row] for row in sample)
    originals = sorted(draws.sample(range(len(images)), min(options.copied, len(images))))
    name = "-".join(root.parts[-2:])
    progress = make_progress()
    features = encode_references(clip, images, progress, name)[1]
    thumbnails = _thumbnails(images)
    copies: dict[str, Compared] = {}
    alike = 0.0
    for kind, change in KINDS.items():
        made = [
            _written(options.out / name / kind / f"{row}.jpg", images[row], change, draws)
            for row in originals
        ]
        encoded = encode_references(clip, made, progress, f"{name} {kind}")[1]
        pairs = torch.stack([torch.tensor(originals), torch.arange(len(made))], dim=1)
        small = _thumbnails(made)
        every = candidate_pairs(torch.cat([features, encoded]), _together(thumbnails, small))
        count = len(features) + len(made)
        numbers = pairs[:, 0] * count + pairs[:, 1] + len(features)
        is_near = torch.isin(numbers, every[:, 0] * count + every[:, 1])
        copies[kind] = _compare(thumbnails, small, pairs, is_near)
        if kind == "burst":
            cosines = (features[pairs[:, 0]] * encoded).sum(dim=1)
            alike = float((cosines >= least_alike(features)).float().mean())
    own = _compare(thumbnails, thumbnails, candidate_pairs(features, thumbnails))
    return CopiedFolder(name, images, own, copies, alike)


def _compare(
    first: Thumbnails, second: Thumbnails, pairs: Tensor, is_near: Tensor | None = None
) -> Compared:
    candidates = pairs if is_near is None else pairs[is_near]
    compared = candidates[plausible_pairs(first, second, candidates)]
    return Compared(compared, agreements(first, second, compared), len(pairs))


def _together(first: Thumbnails, second: Thumbnails) -> Thumbnails:
    return Thumbnails(
        torch.cat([first.grey, second.grey]), torch.cat([first.layout, second.layout])
    )


def _worst(folders: Sequence[CopiedFolder], least: float) -> float:
    """Return the smallest share of found copies, over folders and kinds that are to be found."""
    return min(
        folder.copies[kind].share(least)
        for folder in folders
        for kind in KINDS
        if kind not in ("all", "mirrored")
    )


def _thumbnails(images: Sequence[ImageReference]) -> Thumbnails:
    pictures = (thumbnail(open_image(image, at_least=2 * SIDE)) for image in images)
    return Thumbnails.of(pictures, len(images))


def _bytes(thumbnails: Thumbnails) -> int:
    return thumbnails.grey.nbytes + thumbnails.layout.nbytes


ImageChange = Callable[[Image.Image, random.Random], Image.Image]


def _cropped(image: Image.Image, draws: random.Random) -> Image.Image:
    """Cut 2 to 6 % off the width and off the height, at a random place."""
    kept = 1 - draws.uniform(0.02, 0.06)
    width, height = (round(kept * side) for side in image.size)
    left, top = draws.randint(0, image.width - width), draws.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _brightened(image: Image.Image, draws: random.Random) -> Image.Image:
    """Make an image 5 to 10 % brighter or darker."""
    factor = 1 + draws.choice((-1, 1)) * draws.uniform(0.05, 0.1)
    return image.point(lambda value: min(255, value * factor))


def _halved(image: Image.Image, draws: random.Random) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def _poor(image: Image.Image, draws: random.Random) -> Image.Image:
    """Save an image as JPEG of quality 50."""
    data = BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data).convert("RGB")


def _chain(*changes: ImageChange) -> ImageChange:
    def change(image: Image.Image, draws: random.Random) -> Image.Image:
        for one in changes:
            image = one(image, draws)
        return image

    return change


KINDS: Mapping[str, ImageChange] = {
    "crop": _cropped,
    "brightness": _brightened,
    "quality 50": _poor,
    "half size": _halved,
    "burst": _chain(_cropped, _brightened),
    "all": _chain(_cropped, _brightened, _halved, _poor),
    "mirrored": lambda image, draws: ImageOps.mirror(image),
}


def _written(
    path: Path, image: ImageReference, change: ImageChange, draws: random.Random
) -> ImageReference:
    """Write a changed copy of an image as JPEG of quality 92, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    change(open_image(image), draws).save(path, quality=92)
    return ImageReference(f"{path.parent.name}/{path.name}", path)
